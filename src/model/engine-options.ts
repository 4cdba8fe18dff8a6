import type { Backend } from '../backends/backend.js';
import { checkInteger, checkOneOf } from '../errors.js';

const BACKEND_CHOICES = ['auto', 'native', 'js'] as const;
/** auto: native where it loads, else TypeScript. A backend object is taken as it is. */
export type BackendChoice = (typeof BACKEND_CHOICES)[number] | Backend;

export interface EngineOptions {
  /** Where the arithmetic runs; default auto. */
  backend?: BackendChoice;
  /** Threads of the native backend, from 1 to 256; default: the backend's own choice. They never change results. */
  threads?: number;
}

/** Checks the backend and threads of an options object. Throws ERR_ARGUMENT. */
export function checkEngineOptions({ backend, threads }: EngineOptions): EngineOptions {
  if (typeof backend === 'object' ? backend === null || typeof backend.open !== 'function' : backend !== undefined) {
    checkOneOf(backend, 'backend', BACKEND_CHOICES);
  }
  if (threads !== undefined) checkInteger(threads, 'threads', 1, 256);
  return { backend, threads };
}
