import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

it('the native tests of kernels pass on AArch64', () => {
  execFileSync(join(root, 'scripts', 'test-neon.sh'), { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
});
