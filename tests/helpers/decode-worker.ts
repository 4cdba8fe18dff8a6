/** Threads load JavaScript: the built file, for servers that are made from the sources. */
export const DECODE_WORKER = new URL('../../dist/server/decode-worker.js', import.meta.url);
