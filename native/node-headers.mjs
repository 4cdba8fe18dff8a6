// Where Node's headers are, so that builds need no network.
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * The folder of the running Node's own installation when it has headers; null when it has none, or when npm's configuration
 * names another folder.
 */
export function ownNodeDir() {
  if (process.env.npm_config_nodedir) return null;
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  return existsSync(join(prefix, 'include', 'node', 'common.gypi')) ? prefix : null;
}
