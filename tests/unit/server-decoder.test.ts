import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { encode } from 'fast-png';
import { afterEach, describe, expect, it } from 'vitest';
import { Decoder, type DecoderOptions, type DecodeTask } from '../../src/server/decoder.js';
import { HttpError } from '../../src/server/http-error.js';
import { type BodyKind, type RequestedSamples, readBody } from '../../src/server/inputs.js';
import { DECODE_WORKER, threadOf } from '../helpers/decode-worker.js';

const open: Decoder[] = [];
afterEach(() => Promise.all(open.splice(0).map((decoder) => decoder.close())));

function decoderOf(options: Partial<DecoderOptions> = {}): Decoder {
  const decoder = new Decoder({
    bodyLimit: 2 ** 23,
    timeoutMilliseconds: 30_000,
    workerFile: DECODE_WORKER,
    ...options,
  });
  open.push(decoder);
  return decoder;
}

const client = new Socket();
const wanted = { size: 784, shape: [28, 28, 1], batchLimit: 4096, pixelLimit: 2 ** 20 };
const task = (kind: BodyKind, body: Uint8Array): DecodeTask => ({ kind, body, wanted });
const image = Uint8Array.from({ length: 784 }, (_, i) => (i * 37) % 256);
const drawing = (side: number) => {
  const data = new Uint8Array(side * side).fill(255, side * 5, side * 9);
  return encode({ width: side, height: side, data, channels: 1 });
};
const images = (count: number) => Buffer.from(JSON.stringify({ images: Array(count).fill([...image]) }));
const large = () => task('json', images(50));

describe('bodies', () => {
  const base64 = Buffer.from(drawing(400)).toString('base64');
  const noPng = drawing(400);
  noPng[60] ^= 1;
  const spaces = ' '.repeat(2 ** 15);
  const bodies: [string, BodyKind, Uint8Array | string][] = [
    ['images', 'json', images(50)],
    ['inputs', 'json', JSON.stringify({ inputs: Array(9).fill([...image].map((pixel) => pixel / 255)) })],
    ['one image behind spaces and a byte order mark', 'json', `\uFEFF${spaces}{"image":[${image}]}`],
    ['a large PNG', 'png', drawing(400)],
    ['a small PNG of many bytes', 'png', padded(drawing(28))],
    ['a large PNG in a short JSON', 'json', JSON.stringify({ png: base64 })],
    ['large PNGs in a short JSON', 'json', JSON.stringify({ pngs: [base64, base64] })],
    ['damaged JSON', 'json', `${spaces}{"image":[`],
    ['nothing but spaces', 'json', spaces],
    ['a list', 'json', `${spaces}[]`],
    ['another member', 'json', `${spaces}{"picture":1}`],
    ['a prototype', 'json', `${spaces}{"__proto__":{"image":[1]}}`],
    ['what is no byte', 'json', `${spaces}{"images":[[${image}],[256,${image.subarray(1)}]]}`],
    ['too many samples', 'json', JSON.stringify({ images: Array(5000).fill([1, 2, 3]) })],
    ['a damaged PNG', 'png', noPng],
    ['an empty PNG', 'png', encode({ width: 400, height: 400, data: new Uint8Array(160_000), channels: 1 })],
    ['PNGs of too many pixels', 'json', JSON.stringify({ pngs: Array(7).fill(base64) })],
  ];

  it.each(bodies)('%s: the same samples or refusal from the thread', async (_name, kind, content) => {
    const body = Buffer.from(content);
    const here = outcome(() => readBody(kind, body, wanted));
    const decoded = decoderOf();
    const there = decoded.decode(task(kind, Uint8Array.from(body)), client);
    expect(there).toBeInstanceOf(Promise);
    expect(await outcome(() => there)).toEqual(await here);
  });

  it.each<[string, BodyKind, Uint8Array]>([
    ['raw images of any number', 'bytes', new Uint8Array(784 * 4096)],
    ['an image in JSON', 'json', images(1)],
    ['a PNG of the size that the model takes', 'png', drawing(28)],
  ])('%s: decoded on the spot', (_name, kind, body) => {
    const decoder = decoderOf({ workerFile: threadOf('throw new Error("started")') });
    const { values, ...rest } = readBody(kind, body, wanted);
    const decoded = decoder.decode(task(kind, body), client) as RequestedSamples;
    expect(decoded).toMatchObject(rest);
    expect(Buffer.compare(decoded.values as Uint8Array, values as Uint8Array)).toBe(0);
  });

  it('a PNG whose head claims too many pixels: refused on the spot, whatever follows', () => {
    const huge = drawing(28);
    new DataView(huge.buffer, huge.byteOffset).setUint32(16, 1e9);
    const decoder = decoderOf({ workerFile: threadOf('throw new Error("started")') });
    expect(() => decoder.decode(task('png', padded(huge)), client)).toThrow(/at most 1048576 pixels/);
  });

  it('JSON of more than a string holds', () => {
    const body = new Uint8Array(2 ** 29 + 1);
    expect(() => readBody('json', body, wanted)).toThrow(/^Expected at most \d+ bytes of JSON, received 536870913\.$/);
  });

  it('move to the thread, and are not copied', async () => {
    const body = Uint8Array.from(images(50));
    const decoded = decoderOf().decode(task('json', body), client);
    expect(body.buffer.byteLength).toBe(0);
    const { values, count } = await decoded;
    expect([count, values.buffer.byteLength]).toEqual([50, 50 * 784]);
  });

  it('in a buffer that others use too stay theirs', async () => {
    const shared = new Uint8Array(100_000);
    const body = images(20);
    shared.set(body, 10);
    const decoded = decoderOf().decode(task('json', shared.subarray(10, 10 + body.length)), client);
    expect(await decoded).toMatchObject({ count: 20 });
    expect(shared.byteLength).toBe(100_000);
  });
});

describe('the thread', () => {
  it('that ends in the middle fails one body, and the next gets another thread', async () => {
    const decoder = decoderOf({
      workerFile: threadOf(`
        parentPort.on('message', ({ body }) => {
          if (body.length % 2) throw new Error('out of order');
          parentPort.postMessage({ samples: { count: body.length } });
        })`),
    });
    const json = (length: number) => task('json', new Uint8Array(length).fill(32));
    const results = [70_001, 70_002, 70_003, 70_004].map((length) => decoder.decode(json(length), client));
    await expect(results[0]).rejects.toMatchObject({
      message: /ended with code 1/,
      cause: { message: 'out of order' },
    });
    expect(await results[1]).toEqual({ count: 70_002 });
    await expect(results[2]).rejects.toThrow(/ended with code 1/);
    expect(await results[3]).toEqual({ count: 70_004 });
  });

  it('that exits, or cannot be started, fails the body too', async () => {
    const exits = decoderOf({ workerFile: threadOf('parentPort.on("message", () => process.exit(7))') });
    await expect(exits.decode(large(), client)).rejects.toThrow(/ended with code 7/);
    const missing = decoderOf({ workerFile: new URL('no-such-file.js', import.meta.url) });
    await expect(missing.decode(large(), client)).rejects.toThrow(/ended with code 1/);
    await expect(missing.decode(large(), client)).rejects.toThrow(/ended with code 1/);
  });

  it('that needs more memory than it gets refuses the body, and nobody else is harmed', async () => {
    const decoder = decoderOf({ bodyLimit: 1000 });
    const objects = Buffer.from(`[${'{},'.repeat(2 ** 21)}0]`);
    const [tooMuch, other] = [task('json', objects), large()].map((each) => decoder.decode(each, client));
    await expect(tooMuch).rejects.toMatchObject({ status: 413, message: /takes more memory than a request gets/ });
    expect(await other).toMatchObject({ count: 50 });
  });

  it('has memory for any body within the limit', async () => {
    // The most that text can make: lists of one number.
    const lists = Buffer.from(`{"images":[${'[0],'.repeat(2 ** 21 - 8)}[0]]}`);
    await expect(decoderOf().decode(task('json', lists), client)).rejects.toThrow(/at most 4096 samples/);
  });

  it('that takes too long is given up with those that wait for it, and the next body gets another one', async () => {
    const decoder = decoderOf({
      timeoutMilliseconds: 1000,
      workerFile: threadOf(`parentPort.on('message', ({ body }) => {
        while (body.length % 2);
        parentPort.postMessage({ samples: { count: body.length } });
      })`),
    });
    const json = (length: number) => task('json', new Uint8Array(length).fill(32));
    const results = [70_001, 70_002].map((length) => decoder.decode(json(length), client));
    for (const result of results) {
      await expect(result).rejects.toMatchObject({ status: 503, message: /took more than 1 s/ });
    }
    expect(await decoder.decode(json(70_004), client)).toEqual({ count: 70_004 });
  });

  it('does nothing for clients that went away', async () => {
    const decoder = decoderOf({
      workerFile: threadOf(`let count = 0;
        parentPort.on('message', () => parentPort.postMessage({ samples: { count: ++count } }))`),
    });
    const gone = new Socket();
    const results = [client, gone, gone, client].map((each) => decoder.decode(large(), each));
    gone.destroy();
    expect(await results[0]).toEqual({ count: 1 });
    await expect(results[1]).rejects.toThrow(/went away/);
    await expect(results[2]).rejects.toThrow(/went away/);
    expect(await results[3]).toEqual({ count: 2 });
  });

  it('is ended by close, with what it is at and what waits', async () => {
    const decoder = decoderOf({ workerFile: threadOf('parentPort.on("message", () => { for (;;); })') });
    const results = [large(), large()].map((each) => decoder.decode(each, client));
    const refusals = Promise.allSettled(results);
    await sleep(300);
    await decoder.close();
    for (const refusal of await refusals) expect(refusal).toMatchObject({ reason: { status: 503 } });
    await expect(decoder.decode(large(), client)).rejects.toMatchObject({ status: 503 });
  });

  it('does not keep the process alive', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mnist-train-decoder-'));
    const script = join(folder, 'decode.mjs');
    writeFileSync(
      script,
      `import { Decoder } from ${JSON.stringify(new URL('../../build-ts/server/decoder.js', import.meta.url))};
      const decoder = new Decoder({ bodyLimit: 1e6, timeoutMilliseconds: 60_000 });
      const body = Buffer.from(JSON.stringify({ images: Array(20).fill(Array(784).fill(7)) }));
      const alive = setInterval(() => {}, 1000);
      console.log((await decoder.decode({ kind: 'json', body, wanted: ${JSON.stringify(wanted)} }, {})).count);
      clearInterval(alive);`,
    );
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000 });
    rmSync(folder, { recursive: true });
    expect(stdout).toBe('20\n');
  });
});

/** With a comment of 64 KiB, which readers pass over. */
function padded(png: Uint8Array): Uint8Array {
  const length = 2 ** 16;
  const chunk = Buffer.alloc(length + 12);
  chunk.writeUInt32BE(length);
  chunk.write('tEXt', 4, 'latin1');
  chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), length + 8);
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}

async function outcome(run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return { status: error.status, message: error.message };
  }
}
