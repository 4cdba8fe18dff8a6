import { parentPort } from 'node:worker_threads';
import type { DecodeAnswer, DecodeTask } from './decoder.js';
import { HttpError } from './http-error.js';
import { readBody } from './inputs.js';

/** The thread that decodes large bodies, one after the other; see decoder.ts. Other exceptions than refusals end it. */
parentPort!.on('message', ({ kind, body, wanted }: DecodeTask) => {
  const answer = decode({ kind, body, wanted });
  parentPort!.postMessage(answer, 'samples' in answer ? [answer.samples.values.buffer as ArrayBuffer] : []);
});

function decode({ kind, body, wanted }: DecodeTask): DecodeAnswer {
  try {
    return { samples: readBody(kind, body, wanted) };
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return { refusal: { status: error.status, message: error.message } };
  }
}
