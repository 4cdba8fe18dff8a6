import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from 'fast-png';
import fastify, { type InjectOptions } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { importImage } from '../../src/data/image.js';
import { conv2d, dense, flatten, type Layer, type Predictor, residual, sequential } from '../../src/index.js';
import { pageRoutes } from '../../src/server/page.js';
import { backend } from '../helpers/toy.js';

const digits = (): Layer[] => [
  conv2d({ filters: 3, kernelSize: 5, strides: 4 }),
  residual({ layers: [conv2d({ filters: 3, kernelSize: 1 })] }),
  dense({ units: 8, activation: 'relu' }),
  dense({ units: 10, activation: 'softmax' }),
];
const makeModel = (seed = 1, layers = digits(), inputShape: number[] = [28, 28, 1]): Predictor =>
  sequential(layers, { inputShape, seed, backend, name: 'shown' }).snapshot();

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

function start(first = makeModel()) {
  let model = first;
  const server = fastify();
  open.push(server);
  server.register(pageRoutes, { model: () => model });
  const swap = (next: Predictor) => {
    model = next;
  };
  const explain = (body: Buffer | string, query = '', type = 'application/octet-stream') => {
    const headers: InjectOptions['headers'] = type ? { 'content-type': type } : {};
    return server.inject({ method: 'POST', url: `/explain${query}`, headers, body });
  };
  return { server, swap, explain };
}

/** A thick stroke from top to bottom, of any size. */
function stroke(width: number, height: number): Buffer {
  const values = Buffer.alloc(width * height);
  for (let y = Math.floor(height * 0.2); y < height * 0.8; y++) {
    for (let x = Math.floor(width * 0.45); x < width * 0.55; x++) values[y * width + x] = 200 + ((x + y) % 50);
  }
  return values;
}

const floats = (base64: string) => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);

describe('the page', () => {
  it('comes with its files, which ask for no other host and run nothing inline', async () => {
    const { server } = start();
    const page = await server.inject('/');
    expect(page.statusCode).toBe(200);
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
    const referenced = [...page.body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, path]) => path);
    expect(referenced.length).toBeGreaterThan(2);
    const folder = join(import.meta.dirname, '..', '..', 'src', 'server', 'page');
    const names = readdirSync(folder);
    expect(names).toEqual(expect.arrayContaining(referenced.map((path) => path.replace(/^page\//, ''))));
    const types: Record<string, string> = {
      js: 'text/javascript',
      css: 'text/css',
      html: 'text/html',
      svg: 'image/svg',
    };
    for (const name of names) {
      const reply = await server.inject(`/page/${name}`);
      expect(reply.statusCode, name).toBe(200);
      expect(reply.headers['content-type'], name).toContain(types[name.split('.').at(-1)!]);
      expect(reply.body, name).toBe(readFileSync(join(folder, name), 'utf8'));
      expect(reply.body.replace('http://www.w3.org/2000/svg', ''), name).not.toMatch(/https?:\/\//);
    }
    expect(page.body).not.toMatch(/\son\w+=|<style|style=|<script(?![^>]*src=)/);
  });

  it('has a strict policy on every answer', async () => {
    const { server, explain } = start();
    const replies = [
      await server.inject('/'),
      await server.inject('/page/main.js'),
      await server.inject('/page/model.json'),
      await server.inject('/weights/0/0'),
      await explain(stroke(28, 28)),
    ];
    for (const { headers } of replies) {
      const policy = String(headers['content-security-policy']);
      expect(policy).toMatch(/default-src 'none'/);
      expect(policy).toMatch(/script-src 'self';/);
      expect(policy).toMatch(/frame-ancestors 'none'/);
      expect(policy).not.toMatch(/unsafe|\*|data:|http/);
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('has no other files', async () => {
    const { server } = start();
    for (const path of ['none.js', '..%2Fpage.ts', '..%2F..%2Fpackage.json', '__proto__', 'constructor', '']) {
      expect((await server.inject(`/page/${path}`)).statusCode, path).toBe(404);
    }
  });
});

describe('GET /page/model.json', () => {
  it('says what the model is', async () => {
    const model = makeModel();
    const { server } = start(model);
    const shown = (await server.inject('/page/model.json')).json();
    expect(shown).toMatchObject({
      name: 'shown',
      inputShape: [28, 28, 1],
      outputShape: [10],
      outputActivation: 'softmax',
      classNames: null,
      drawable: true,
      weightsSha256: model.weightsSha256(),
    });
    expect(shown.layers).toEqual([
      { layer: 0, type: 'conv2d', name: '0 conv2d', shape: [6, 6, 3], activation: 'linear', hasWeights: true },
      { layer: 1, type: 'residual', name: '1 residual', shape: [6, 6, 3], activation: null, hasWeights: false },
      { layer: 2, type: 'dense', name: '2 dense (relu)', shape: [8], activation: 'relu', hasWeights: true },
      { layer: 3, type: 'dense', name: '3 dense (softmax)', shape: [10], activation: 'softmax', hasWeights: true },
    ]);
  });

  it.each([
    [[28, 28, 1], true],
    [[28, 28], true],
    [[784], true],
    [[28, 28, 3], false],
    [[3], false],
    [[14, 56], false],
    [[28, 14, 2], false],
  ])('samples of %s: can be drawn: %s', async (shape, drawable) => {
    const { server, explain } = start(makeModel(1, [dense({ units: 2 })], shape));
    expect((await server.inject('/page/model.json')).json().drawable).toBe(drawable);
    const reply = await explain(stroke(28, 28));
    expect(reply.statusCode).toBe(drawable ? 200 : 400);
    if (!drawable) expect(reply.json().message).toMatch(/images of 28 x 28.*takes \[/);
  });

  it('calls other weights and other architectures other models', async () => {
    const plain = () => [dense({ units: 3 })];
    const model = makeModel(1, plain());
    const { server, swap } = start(model);
    const identity = async () => (await server.inject('/page/model.json')).json().model;
    const first = await identity();
    expect(await identity()).toBe(first);
    swap(makeModel(1, plain()));
    expect(await identity()).toBe(first);
    swap(makeModel(2, plain()));
    expect(await identity()).not.toBe(first);
    swap(makeModel(1, [flatten(), ...plain()]));
    const other = await identity();
    expect(other).not.toBe(first);
    expect((await server.inject('/weights/0/0')).json().model).toBe(other);
  });
});

describe('POST /explain', () => {
  it('sees a drawing as predict sees the PNG of it, and says what every layer makes of that', async () => {
    const model = makeModel();
    const { explain } = start(model);
    for (const [width, height] of [
      [280, 280],
      [200, 120],
      [28, 28],
    ]) {
      const drawing = stroke(width, height);
      const png = encode({ width, height, data: new Uint8Array(drawing), channels: 1 });
      const wanted = importImage(png, 'x').pixels;
      const reply = await explain(drawing, `?width=${width}&height=${height}`);
      expect(reply.statusCode).toBe(200);
      const { image, probabilities, layers } = reply.json();
      expect(Uint8Array.from(image)).toEqual(wanted);
      expect(Float32Array.from(probabilities)).toEqual(model.predictSync(wanted));
      const activations = model.activations(wanted);
      expect(layers).toHaveLength(4);
      activations.forEach(({ values, ...layer }, place) => {
        const { activations: shown, ...rest } = layers[place];
        expect(rest).toEqual(layer);
        expect(floats(shown)).toEqual(values);
      });
    }
  });

  it('takes 28 x 28 without a size, and answers with outputs where these are no probabilities', async () => {
    const model = makeModel(1, [dense({ units: 2 })]);
    const { explain } = start(model);
    const reply = (await explain(stroke(28, 28))).json();
    expect(Float32Array.from(reply.outputs)).toEqual(model.predictSync(new Uint8Array(stroke(28, 28))));
    expect(reply).not.toHaveProperty('probabilities');
  });

  const full = stroke(280, 280);
  it.each([
    ['no ink', Buffer.alloc(784), '', undefined, 400, /Expected a drawing for the drawing/],
    [
      'another size than said',
      full.subarray(1),
      '?width=280&height=280',
      undefined,
      400,
      /78400 bytes.*received 78399/,
    ],
    ['no size', full, '', undefined, 400, /784 bytes, a drawing of 28 x 28 row by row, received 78400/],
    ['no body', Buffer.alloc(0), '', undefined, 400, /received 0 bytes/],
    ['no width', full, '?width=0&height=280', undefined, 400, /from 1 to 1024 for width, received "0"/],
    ['a vast width', full, '?width=1025&height=1', undefined, 400, /from 1 to 1024 for width/],
    ['a word for a height', full, '?width=280&height=tall', undefined, 400, /for height, received "tall"/],
    ['two widths', full, '?width=280&width=280&height=280', undefined, 400, /for width, received \["280","280"\]/],
    ['JSON', '{}', '', 'application/json', 415, /octet-stream for content-type, received application\/json/],
    ['no type', '', '', '', 415, /received none/],
  ] as const)('refuses %s', async (_name, body, query, type, status, message) => {
    const { explain } = start();
    const reply = await explain(body, query, type);
    expect(reply.statusCode).toBe(status);
    expect(reply.json().message).toMatch(message);
  });

  it('refuses outputs that are not finite', async () => {
    const source = sequential([dense({ units: 1 })], { inputShape: [784], backend });
    source.setWeights(source.getWeights().map((values) => values.fill(3e38)));
    const reply = await start(source.snapshot()).explain(stroke(28, 28));
    expect(reply.statusCode).toBe(422);
  });

  it('answers with the model in service, whole, when that is swapped', async () => {
    const [first, second] = [makeModel(1), makeModel(2)];
    const { explain, swap } = start(first);
    const before = (await explain(stroke(28, 28))).json();
    swap(second);
    first.dispose();
    const after = (await explain(stroke(28, 28))).json();
    expect(after.model).not.toBe(before.model);
    expect(Float32Array.from(after.probabilities)).toEqual(second.predictSync(Uint8Array.from(after.image)));
  });
});

describe('GET /weights/LAYER/NEURON', () => {
  it('gives the weights of a neuron with their shape', async () => {
    const model = makeModel();
    const { server } = start(model);
    const weights = async (path: string) => (await server.inject(`/weights/${path}`)).json();
    const kernel = model.neuronWeights(0, 4)!;
    expect(await weights('0/4')).toMatchObject({
      layer: 0,
      neuron: 4,
      from: 0,
      type: 'conv2d',
      unit: 1,
      pixels: null,
      weights: { shape: [5, 5, 1], values: [...kernel.weights.values] },
    });
    expect(await weights('1/0')).toMatchObject({ weights: null, pixels: null });
    expect(await weights('3/9')).toMatchObject({ from: 3, unit: 9, weights: { shape: [8] }, pixels: null });
    const { server: other } = start(makeModel(1, [dense({ units: 4 }), dense({ units: 2 })], [784]));
    expect((await other.inject('/weights/1/1')).json()).toMatchObject({ pixels: { shape: [784] }, through: [1, 0] });
  });

  it.each(['4/0', '0/108', '-1/0', '0/x', '0/1.5', `0/${'9'.repeat(30)}`])('refuses %s', async (path) => {
    const reply = await start().server.inject(`/weights/${path}`);
    expect(reply.statusCode).toBe(404);
    expect(reply.json().message).toMatch(/Expected a number from 0 to \d+ for the (layer|neuron of layer 0), received/);
  });
});
