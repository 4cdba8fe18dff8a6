import type { Backend } from '../../src/backends/backend.js';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { createNativeBackend } from '../../src/backends/native/backend.js';
import { requireAddon } from '../../src/backends/native/load.js';

/** The native backend on every instruction set of this machine. Throws without the addon: a suite must not shrink silently. */
export function nativeBackends(): Backend[] {
  return requireAddon().instructionSets.map((isa) => createNativeBackend({ isa }));
}

/** Every backend that this machine can run: suites loop over it, so that each backend meets the same tests. */
export function availableBackends(): Backend[] {
  return [createJsBackend(), ...nativeBackends()];
}

/** "js", "native avx2": the name of a backend in a test's title. */
export function titleOf(backend: Backend): string {
  return backend.isa ? `${backend.name} ${backend.isa}` : backend.name;
}
