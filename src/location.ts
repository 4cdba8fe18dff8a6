import { existsSync } from 'node:fs';
import { MnistTrainError } from './errors.js';

/**
 * Where the package's own files are. In `dist/` modules lie in bundles (scripts/bundle.mjs): none of them may look beside itself.
 */

let code: URL | undefined;

/** A file or, with a slash at the end, a folder below `dist/`; below `src/` where the sources are run, as tests do. */
export function codeFile(path: string): URL {
  code ??= codeFolder();
  return new URL(path, code);
}

/** A file of the package, by its path from package.json. */
export function packageFile(path: string): URL {
  return codeFile(`../${path}`);
}

/** The folder above this module that lies beside package.json. */
function codeFolder(): URL {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('../package.json', folder))) {
    const above = new URL('../', folder);
    if (above.href === folder.href) {
      const here = import.meta.url;
      throw new MnistTrainError(
        'ERR_STATE',
        `Expected mnist-train's package.json above ${here}, found none. Install it anew.`,
      );
    }
    folder = above;
  }
  return folder;
}
