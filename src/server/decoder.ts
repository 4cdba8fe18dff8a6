import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { pixelsInHeader } from '../data/png.js';
import { codeFile } from '../location.js';
import { HttpError } from './http-error.js';
import {
  type BodyKind,
  parseJson,
  pixelsInJson,
  type RequestedSamples,
  readBody,
  readJson,
  type Wanted,
} from './inputs.js';

/**
 * What is decoded on the thread that answers requests: a millisecond or two at most (60 to 100 ns for a byte of JSON or a
 * pixel). More goes to a thread of its own, which takes as long but holds up nobody else: 8 MiB of JSON take a second.
 */
const MOST_BYTES_HERE = 2 ** 14;
const MOST_PIXELS_HERE = 2 ** 14;

const MEBIBYTE = 2 ** 20;

/**
 * MiB of JavaScript's memory for a body of so many bytes. JSON of lists in lists or of empty objects takes 25 times as much
 * as its text; pixels and samples lie outside of it.
 */
const memoryFor = (bodyLimit: number): number => 64 + Math.ceil((40 * bodyLimit) / MEBIBYTE);

export interface DecodeTask {
  kind: BodyKind;
  body: Uint8Array;
  wanted: Wanted;
}

/** What the thread says to a task: samples, or the status and message of an `HttpError`, which messages cannot carry. */
export type DecodeAnswer = { samples: RequestedSamples } | { refusal: { status: number; message: string } };

export interface DecoderOptions {
  /** The most bytes in a body. */
  bodyLimit: number;
  /** Within so much a large body must have been decoded, waiting for its turn included. */
  timeoutMilliseconds: number;
  /** The file of the thread, for tests of the sources: it has to be JavaScript. Default: beside this one. */
  workerFile?: URL;
}

interface Job extends DecodeTask {
  /** Nobody waits for the answer any more when it is destroyed. */
  client: Socket;
  timer: NodeJS.Timeout;
  resolve(samples: RequestedSamples): void;
  reject(error: Error): void;
}

/** Bodies to samples: small ones at once, large ones one after the other on a thread that is started for the first. */
export class Decoder {
  readonly #options: DecoderOptions;
  readonly #waiting = new Set<Job>();
  #worker: Worker | null = null;
  #running: Job | null = null;
  #closed = false;

  constructor(options: DecoderOptions) {
    this.#options = options;
  }

  /** Throws or rejects with an `HttpError` as `readBody` does, and with others when the thread fails. */
  decode(task: DecodeTask, client: Socket): RequestedSamples | Promise<RequestedSamples> {
    return readSmall(task) ?? this.#enqueue(task, client);
  }

  /** Ends the thread; bodies that are not decoded yet are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting) this.#fail(job, ending());
    await this.#replaceWorker(ending());
  }

  #enqueue(task: DecodeTask, client: Socket): Promise<RequestedSamples> {
    if (this.#closed) return Promise.reject(ending());
    return new Promise((resolve, reject) => {
      const { timeoutMilliseconds } = this.#options;
      const timer = setTimeout(() => this.#timeOut(job), timeoutMilliseconds).unref();
      const job: Job = { ...task, client, timer, resolve, reject };
      this.#waiting.add(job);
      this.#next();
    });
  }

  #next(): void {
    if (this.#running || this.#closed) return;
    for (const job of this.#waiting) {
      if (job.client.destroyed) {
        this.#fail(job, new HttpError(400, 'The client went away.'));
        continue;
      }
      this.#waiting.delete(job);
      this.#running = job;
      try {
        this.#worker ??= this.#start();
        const { kind, body, wanted } = job;
        const own = body.byteLength === body.buffer.byteLength ? body : Uint8Array.from(body);
        this.#worker.postMessage({ kind, body: own, wanted } satisfies DecodeTask, [own.buffer as ArrayBuffer]);
      } catch (error) {
        this.#fail(job, error as Error);
        continue;
      }
      return;
    }
  }

  #start(): Worker {
    const { workerFile = codeFile('server/decode-worker.js'), bodyLimit } = this.#options;
    const worker = new Worker(workerFile, { resourceLimits: { maxOldGenerationSizeMb: memoryFor(bodyLimit) } });
    let failure: Error | undefined;
    worker.on('message', (answer: DecodeAnswer) => {
      if (this.#worker === worker) this.#finish(answer);
    });
    worker.on('error', (error) => {
      failure = error;
    });
    worker.on('exit', (code) => {
      if (this.#worker !== worker) return;
      this.#replaceWorker(describeEnd(code, failure));
      this.#next();
    });
    // Those who wait for an answer have a connection, and that keeps the process alive. Only now: listening undoes it.
    worker.unref();
    return worker;
  }

  #finish(answer: DecodeAnswer): void {
    const job = this.#running!;
    this.#running = null;
    clearTimeout(job.timer);
    if ('samples' in answer) job.resolve(answer.samples);
    else job.reject(new HttpError(answer.refusal.status, answer.refusal.message));
    this.#next();
  }

  #timeOut(job: Job): void {
    const seconds = this.#options.timeoutMilliseconds / 1000;
    const late = new HttpError(
      503,
      `Decoding the body took more than ${seconds} s. Send less in a request, or try again when the server has less to do.`,
      { 'retry-after': '1' },
    );
    if (this.#running === job) this.#replaceWorker(late);
    else this.#fail(job, late);
    this.#next();
  }

  /** The next body gets a new thread; what runs on this one ends with `error`. */
  #replaceWorker(error: Error): Promise<unknown> {
    const worker = this.#worker;
    this.#worker = null;
    if (this.#running) this.#fail(this.#running, error);
    return Promise.resolve(worker?.terminate());
  }

  #fail(job: Job, error: Error): void {
    this.#waiting.delete(job);
    if (this.#running === job) this.#running = null;
    clearTimeout(job.timer);
    job.reject(error);
  }
}

const ending = () => new HttpError(503, 'The server is ending.', { connection: 'close' });

/** The samples of a body that takes little time; null for others. */
function readSmall({ kind, body, wanted }: DecodeTask): RequestedSamples | null {
  if (kind === 'bytes') return readBody(kind, body, wanted);
  const small = body.length <= MOST_BYTES_HERE;
  if (kind === 'png') {
    const pixels = pixelsInHeader(body);
    // Too many of them are refused for what the head says, before anything is decoded.
    return (small && pixels <= MOST_PIXELS_HERE) || pixels > wanted.pixelLimit ? readBody(kind, body, wanted) : null;
  }
  if (!small) return null;
  const parsed = parseJson(body);
  return pixelsInJson(parsed) <= MOST_PIXELS_HERE ? readJson(parsed, wanted) : null;
}

/** Why a thread ended in the middle of a body. */
function describeEnd(code: number, failure: (Error & { code?: string }) | undefined): Error {
  if (failure?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new HttpError(413, 'Decoding the body takes more memory than a request gets. Send less in a request.');
  }
  return new Error(`The thread that decodes large bodies ended with code ${code}.`, { cause: failure });
}
