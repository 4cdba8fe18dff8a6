// The public types of the package, from its build: node scripts/api.mjs [--update]
//
// Compares docs/api/*.api.md with what the package exports now, and fails where they differ; with --update it writes them.
// `rollUp` makes the declarations that are published: a file for each entry, without what nobody can import.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { ENTRIES } from './entries.mjs';

const root = resolve(import.meta.dirname, '..');

/** Writes `<entry>.d.ts` into a folder. */
export function rollUp(entry, folder) {
  extract(entry, { dtsRollup: { enabled: true, untrimmedFilePath: join(folder, `${entry}.d.ts`) } });
}

/** Whether the report is as it was; with `update` it is written. */
function report(entry, update) {
  const temporary = mkdtempSync(join(tmpdir(), 'mnist-train-api-'));
  try {
    const apiReport = {
      enabled: true,
      reportFolder: join(root, 'docs', 'api'),
      reportTempFolder: temporary,
      reportFileName: `${entry}.api.md`,
      includeForgottenExports: true,
    };
    return !extract(entry, { apiReport, dtsRollup: { enabled: false } }, update).apiReportChanged;
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** What TypeScript found out about all entries: it takes most of the time. */
let state;

function extract(entry, options, localBuild = true) {
  const silent = { default: { logLevel: 'none' } };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, 'build-ts', `${entry}.d.ts`),
      compiler: { tsconfigFilePath: join(root, 'tsconfig.build.json') },
      apiReport: { enabled: false },
      docModel: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: { extractorMessageReporting: silent, tsdocMessageReporting: silent },
      ...options,
    },
    packageJsonFullPath: join(root, 'package.json'),
  });
  const additionalEntryPoints = ENTRIES.map((name) => join(root, 'build-ts', `${name}.d.ts`));
  state ??= CompilerState.create(config, { additionalEntryPoints });
  const result = Extractor.invoke(config, {
    localBuild,
    compilerState: state,
    messageCallback: (message) => {
      message.handled = message.logLevel !== 'error';
    },
  });
  if (result.errorCount > 0) throw new Error(`The declarations of ${entry} could not be read.`);
  return result;
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
  const changed = ENTRIES.filter((entry) => !report(entry, values.update));
  if (changed.length > 0 && !values.update) {
    const files = changed.map((entry) => `docs/api/${entry}.api.md`).join(' and ');
    console.error(
      `Expected the public types to be those of ${files}, found others. If that is meant, run npm run api and commit what it writes.`,
    );
    process.exitCode = 1;
  }
}
