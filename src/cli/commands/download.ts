import { Command } from 'commander';
import { DATASET_NAMES } from '../../data/catalogue.js';
import { downloadDataset, sourcesOf } from '../../data/download.js';
import type { Context, Run } from '../context.js';
import { withDownloadShown } from '../dataset.js';
import { DEFAULTS } from '../model.js';
import { addDataDirOption, type CommonOptions } from '../options.js';
import { UsageError } from '../usage.js';
import { choice, url } from '../values.js';

interface DownloadCommandOptions extends CommonOptions {
  dataDir?: string;
  mirror?: string;
  force?: true;
  offline?: true;
}

export function downloadCommand(run: Run): Command {
  const command = new Command('download')
    .description('Fetch a data set into the cache or a folder. Every file is checked against its published digest.')
    .argument('[dataset]', DATASET_NAMES.join(', '), choice('the data set', DATASET_NAMES), DEFAULTS.dataset)
    .option('--mirror <url>', 'web folder that has the files, asked in place of the usual sources', url('--mirror'))
    .option('--force', 'fetch files that are there already, and replace them')
    .option('--offline', 'only check what is there');
  addDataDirOption(command);
  return command.action(run.action(download));
}

async function download(
  { output, signal }: Context,
  options: DownloadCommandOptions,
  [dataset = DEFAULTS.dataset]: string[],
): Promise<void> {
  if (options.force && options.offline) {
    throw new UsageError('Expected --force or --offline, received both. --offline fetches nothing.');
  }
  const { dataDir, mirror, force, offline } = options;
  const result = await withDownloadShown(output, (callbacks) =>
    downloadDataset(dataset, {
      dataDir,
      mirror,
      force,
      offline,
      signal,
      ...callbacks,
      onSourceFailed: (failed) => {
        output.event({ event: 'sourceFailed', ...failed });
        callbacks.onSourceFailed?.(failed);
      },
    }),
  );
  output.event({ event: 'downloaded', ...result });
  const sources = sourcesOf(result);
  output.say(
    `${result.dataset} is complete in ${result.directory}${sources ? `, from ${sources}` : '; nothing to fetch'}.`,
  );
}
