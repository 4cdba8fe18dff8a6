import { cpus } from 'node:os';
import { Command } from 'commander';
import { nativeCandidates } from '../../backends/select.js';
import { dataRoot } from '../../data/cache.js';
import { sequential } from '../../index.js';
import { fieldsOf } from '../../program/ops.js';
import { planMemory } from '../../program/plan.js';
import type { Program } from '../../program/program.js';
import type { Context, Run } from '../context.js';
import { chooseBackend, engineOf, engineText } from '../engine.js';
import { DEFAULTS, layersOf, optimizerOf } from '../model.js';
import { addEngineOptions, type CommonOptions, type EngineOptions } from '../options.js';
import type { Output } from '../output.js';
import { programListing } from '../ui/program-listing.js';
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
  const backend = chooseBackend(options, output);
  const engine = engineOf(backend, options.threads);
  const candidates = nativeCandidates();
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
  if (options.program) listProgram(output);
}

/** Lowers the model that `train` makes without options. */
function listProgram(output: Output): void {
  const layers = layersOf(DEFAULTS.hidden, DEFAULTS.activation, 10);
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: DEFAULTS.seed });
  const { optimizer, schedule, momentum } = DEFAULTS;
  const learningRate = DEFAULTS.learningRate[optimizer];
  model.compile({
    optimizer: optimizerOf({ optimizer, schedule, momentum, learningRate }),
    loss: 'categoricalCrossentropy',
  });
  const program = model.program({ batchSize: DEFAULTS.batchSize });
  const plan = planMemory(program);
  operationEvents(output, program);
  output.event({ event: 'memory', regions: plan.sizes });
  output.say(`\n${programListing(program, plan)}`);
}

function operationEvents(output: Output, program: Program): void {
  for (const [section, { ops }] of Object.entries(program.sections)) {
    ops.forEach((op, step) => {
      const fields = Object.fromEntries(fieldsOf(op).map(({ name, value }) => [name, value]));
      output.event({ event: 'operation', section, step, op: op.op, fields });
    });
  }
}
