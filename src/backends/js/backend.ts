import type { Backend } from '../backend.js';
import { JsBoundData } from './bound-data.js';
import { KERNELS } from './kernels/table.js';
import { JsSession } from './session.js';

/** The backend in TypeScript: runs wherever Node.js does, on the calling thread, yielding to the event loop. */
export function createJsBackend(): Backend {
  return {
    name: 'js',
    isa: null,
    defaultThreads: 1,
    operations: Object.keys(KERNELS),
    open: (program) => new JsSession(program),
    bind: (samples) => JsBoundData.bind(samples),
  };
}
