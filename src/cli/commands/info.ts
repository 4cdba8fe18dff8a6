import { cpus } from 'node:os';
import { Command } from 'commander';
import { loadAddon } from '../../backends/native/load.js';
import { dataRoot } from '../../data/root.js';
import type { Context, Run } from '../context.js';
import { chooseEngine, engineText } from '../engine.js';
import { addEngineOptions, type CommonOptions, type EngineOptions } from '../options.js';
import { pairs } from '../ui/tables.js';

interface InfoOptions extends CommonOptions, EngineOptions {
  program?: true;
}

export function infoCommand(run: Run, version: string): Command {
  const command = new Command('info')
    .description('Show the backend in use and why, the data folder and the machine.')
    .option('--program', 'also list the operations that a step of the default model consists of');
  addEngineOptions(command);
  return command.action(run.action<InfoOptions>((context, options) => info(context, options, version)));
}

async function info({ output }: Context, options: InfoOptions, version: string): Promise<void> {
  const engine = await chooseEngine(options, output);
  const candidates = loadAddon().attempts;
  const { version: node, platform, arch } = process;
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  const dataDirectory = dataRoot();
  output.event({ event: 'info', version, ...engine, candidates, dataDirectory, node, platform, arch, cpu });
  output.say(
    pairs([
      ['mnist-train', version],
      ['backend', engineText(engine)],
      ...candidates.map(
        ({ source, path, status, reason }, index) =>
          [index === 0 ? 'native addon' : '', `${status}: ${source}, ${path}${reason ? ` (${reason})` : ''}`] as const,
      ),
      ['data folder', dataDirectory],
      ['Node.js', `${node}, ${platform} ${arch}`],
      ['processor', cpu],
    ]),
  );
  if (options.program) (await import('../default-program.js')).listDefaultProgram(output);
}
