import type { Backend } from '../backends/backend.js';
import { describeAttempts, loadAddon } from '../backends/native/load.js';
import { chooseIsa, defaultThreads } from '../backends/native/machine.js';
import type { Engine } from './events.js';
import type { EngineOptions } from './options.js';
import type { Output } from './output.js';
import { asUsage, UsageError } from './usage.js';

/**
 * Chooses the backend once for a command. When `auto` cannot load the addon, it says so and goes on in TypeScript.
 * The backends' modules are loaded here: `info` does without.
 */
export async function chooseBackend(options: EngineOptions, output: Output): Promise<Backend> {
  if (options.backend === 'js' && (options.threads ?? 1) > 1) {
    throw new UsageError(
      `Expected 1 for --threads with --backend js, received ${options.threads}. The TypeScript backend has one thread.`,
    );
  }
  const { selectBackend } = await import('../backends/select.js');
  return asUsage(() =>
    selectBackend(options.backend, {
      onFallback: (attempts) => {
        const reasons = describeAttempts(attempts);
        output.note(`The native addon did not load (${reasons}). Going on in TypeScript: the same results, slower.`);
      },
    }),
  );
}

/** What `chooseBackend` would choose, without loading the native backend around the addon. */
export async function chooseEngine(options: EngineOptions, output: Output): Promise<Engine> {
  const { addon } = loadAddon();
  if (options.backend === 'js' || !addon) return engineOf(await chooseBackend(options, output), options.threads);
  return { backend: 'native', isa: asUsage(() => chooseIsa(addon)), threads: options.threads ?? defaultThreads() };
}

export function engineOf(backend: Backend, threads = backend.defaultThreads): Engine {
  return { backend: backend.name, isa: backend.isa, threads: backend.name === 'js' ? 1 : threads };
}

/** "native (avx512), 2 threads" or "TypeScript". */
export function engineText({ backend, isa, threads }: Engine): string {
  if (backend === 'js') return 'TypeScript';
  return `native (${isa}), ${threads} thread${threads === 1 ? '' : 's'}`;
}
