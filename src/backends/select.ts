import { checkOneOf } from '../errors.js';
import type { Backend } from './backend.js';
import { createJsBackend } from './js/backend.js';
import { createNativeBackend } from './native/backend.js';
import { describeAttempts, type LoadAttempt, loadAddon } from './native/load.js';

export type { LoadAttempt } from './native/load.js';

export interface SelectOptions {
  /** Called when `auto` goes on in TypeScript, at every such choice; default: one process warning. */
  onFallback?: (attempts: readonly LoadAttempt[]) => void;
}

let warned = false;

/**
 * Chooses a backend. `auto` is native where the addon loads, else TypeScript, and says so; a backend asked for by name is
 * that backend or an error.
 *
 * @throws MnistTrainError ERR_NATIVE_LOAD when `native` cannot load, with the reason of every place that was tried;
 *   ERR_ARGUMENT for another name or for an instruction set in $MNIST_TRAIN_ISA that is not there.
 */
export function selectBackend(
  name: 'auto' | 'native' | 'js' = 'auto',
  { onFallback = warnOnce }: SelectOptions = {},
): Backend {
  checkOneOf(name, 'backend', ['auto', 'native', 'js'] as const);
  if (name === 'js') return createJsBackend();
  if (name === 'native') return createNativeBackend();
  const { addon, attempts } = loadAddon();
  if (addon) return createNativeBackend();
  onFallback(attempts);
  return createJsBackend();
}

function warnOnce(attempts: readonly LoadAttempt[]): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    `mnist-train goes on in TypeScript, with the same results but slower: the native addon did not load (${describeAttempts(attempts)}).`,
    { code: 'MNIST_TRAIN_FALLBACK' },
  );
}
