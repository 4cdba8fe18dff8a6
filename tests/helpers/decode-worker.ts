/** Threads load JavaScript: the built file, for servers that are made from the sources. */
export const DECODE_WORKER = new URL('../../dist/server/decode-worker.js', import.meta.url);

/** A thread that does something else, with `parentPort` at hand. */
export const threadOf = (code: string): URL =>
  new URL(`data:text/javascript,${encodeURIComponent(`import { parentPort } from 'node:worker_threads'; ${code}`)}`);
