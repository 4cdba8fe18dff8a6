import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { FastifyPluginCallback } from 'fastify';
import { importPicture, MNIST_SIZE } from '../data/image.js';
import { MnistTrainError } from '../errors.js';
import type { Predictor } from '../index.js';
import { codeFile } from '../location.js';
import { sizeOf } from '../program/program.js';
import { HttpError } from './http-error.js';

/**
 * The page at `/`, on which people draw a digit and see what the network makes of it, and what the page asks the server
 * for. The page itself is plain files in `page/`, read once; it asks nobody but this server.
 */

/** What the page shows of a model: a `Predictor`. */
export type ShownModel = Pick<
  Predictor,
  | 'name'
  | 'shared'
  | 'inputShape'
  | 'outputShape'
  | 'outputActivation'
  | 'classNames'
  | 'layers'
  | 'layerOutputs'
  | 'activations'
  | 'neuronWeights'
  | 'weightsSha256'
>;

export interface PageRoutesOptions {
  /** The model in service. It is asked once for every request, so that an answer is of one model. */
  model(): ShownModel;
}

/** Pixels on a side of a drawing: importing one takes time on the thread that answers requests. */
const MAX_SIDE = 1024;

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-cache',
};

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface File {
  type: string;
  content: Buffer;
}

/**
 * `GET /` and `/page/...`: the page. `GET /page/model.json`: what the model is. `POST /explain`: a drawing to the image
 * that the network saw, its outputs and those of every layer. `GET /weights/LAYER/NEURON`: see `neuronWeights`.
 */
export const pageRoutes: FastifyPluginCallback<PageRoutesOptions> = (server, { model }, done) => {
  const files = readFiles(codeFile('server/page/'));
  const identityOf = identities();
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
  server.addHook('onSend', (_request, reply, payload, sent) => {
    reply.headers(SECURITY_HEADERS);
    sent(null, payload);
  });
  server.get('/', (_request, reply) => {
    const { type, content } = files.get('index.html')!;
    return reply.type(type).send(content);
  });
  server.get<{ Params: { file: string } }>('/page/:file', ({ params }, reply) => {
    const file = files.get(params.file);
    if (!file) return reply.callNotFound();
    return reply.type(file.type).send(file.content);
  });
  server.get('/page/model.json', () => {
    const current = model();
    return describeModel(current, identityOf(current));
  });
  server.post<{ Querystring: Record<string, unknown> }>('/explain', ({ headers, query, body }) => {
    const current = model();
    const drawing = readDrawing(headers['content-type'], query, body);
    return { model: identityOf(current).model, ...explain(current, drawing) };
  });
  server.get<{ Params: { layer: string; neuron: string } }>('/weights/:layer/:neuron', ({ params }) => {
    const current = model();
    return { model: identityOf(current).model, ...weightsOf(current, params) };
  });
  done();
};

function readFiles(folder: URL): ReadonlyMap<string, File> {
  const names = readdirSync(folder).filter((name) => extname(name) in TYPES);
  return new Map(
    names.map((name) => [name, { type: TYPES[extname(name)], content: readFileSync(new URL(name, folder)) }]),
  );
}

interface Identity {
  /** Of architecture and weights: by it the page sees that the model is another one. */
  model: string;
  weightsSha256: string;
}

/** What models are called, worked out once for each. */
function identities(): (model: ShownModel) => Identity {
  const known = new WeakMap<ShownModel, Identity>();
  return (model) => {
    let identity = known.get(model);
    if (!identity) {
      const weightsSha256 = model.weightsSha256();
      const hash = createHash('sha256').update(weightsSha256).update(JSON.stringify(model.shared.config));
      identity = { model: hash.digest('hex'), weightsSha256 };
      known.set(model, identity);
    }
    return identity;
  };
}

/** Whether samples are images of 28 × 28, by rows or flat. */
function takesDigits({ inputShape }: ShownModel): boolean {
  const { height, width } = MNIST_SIZE;
  const [first, second, channels = 1] = inputShape;
  if (inputShape.length === 1) return first === height * width;
  return inputShape.length <= 3 && first === height && second === width && channels === 1;
}

function describeModel(model: ShownModel, identity: Identity) {
  const { name, inputShape, outputShape, outputActivation, classNames, layers, layerOutputs } = model;
  return {
    ...identity,
    name,
    inputShape,
    outputShape,
    outputActivation,
    classNames: classNames ?? null,
    drawable: takesDigits(model),
    layers: layerOutputs.map((output) => ({
      ...output,
      activation: layers[output.layer].activation ?? null,
      hasWeights: model.neuronWeights(output.layer, 0) !== null,
    })),
  };
}

interface Drawing {
  width: number;
  height: number;
  values: Uint8Array;
}

/** The bytes of a drawing, of the width and height in the query or 28 × 28. Throws a 400 or 415. */
function readDrawing(type: string | undefined, query: Record<string, unknown>, body: unknown): Drawing {
  if (!type || !/^application\/octet-stream\s*(;|$)/i.test(type)) {
    throw new HttpError(415, `Expected application/octet-stream for content-type, received ${type ?? 'none'}.`);
  }
  const width = readSide(query.width, 'width', MNIST_SIZE.width);
  const height = readSide(query.height, 'height', MNIST_SIZE.height);
  const values = Buffer.isBuffer(body) ? body : Buffer.alloc(0);
  if (values.length !== width * height) {
    const what = `${width * height} bytes, a drawing of ${width} x ${height} row by row`;
    throw new HttpError(400, `Expected ${what}, received ${values.length} bytes.`);
  }
  // A copy: importing writes into it, and images that are kept as they are would hold the request's buffer.
  return { width, height, values: Uint8Array.from(values) };
}

function readSide(value: unknown, name: string, otherwise: number): number {
  if (value === undefined) return otherwise;
  const side = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (side >= 1 && side <= MAX_SIDE) return side;
  const received = JSON.stringify(value).slice(0, 60);
  throw new HttpError(400, `Expected a whole number from 1 to ${MAX_SIDE} for ${name}, received ${received}.`);
}

function explain(model: ShownModel, { width, height, values }: Drawing) {
  if (!takesDigits(model)) {
    const shape = `[${model.inputShape.join(', ')}]`;
    throw new HttpError(400, `Expected a model of images of 28 x 28, and the one in service takes ${shape}.`);
  }
  const image = importDrawing({ width, height, values });
  const layers = model.activations(image);
  const outputs = layers.at(-1)!.values;
  if (!outputs.every(Number.isFinite)) throw new HttpError(422, 'The outputs for this drawing are not finite.');
  return {
    image: [...image],
    [model.outputActivation === 'softmax' ? 'probabilities' : 'outputs']: [...outputs],
    classNames: model.classNames ?? null,
    layers: layers.map(({ values: activations, ...layer }) => ({ ...layer, activations: base64Of(activations) })),
  };
}

function importDrawing({ width, height, values }: Drawing): Uint8Array {
  try {
    return importPicture({ width, height, luminance: values, alpha: null }, 'the drawing').pixels;
  } catch (error) {
    if (error instanceof MnistTrainError) throw new HttpError(400, error.message);
    throw error;
  }
}

/** As numbers, thousands of activations would take longer to write and read than to compute. */
const base64Of = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

function weightsOf(model: ShownModel, params: { layer: string; neuron: string }) {
  const layer = readIndex(params.layer, 'the layer', model.layerOutputs.length);
  const neuron = readIndex(params.neuron, `the neuron of layer ${layer}`, sizeOf(model.layerOutputs[layer].shape));
  const found = model.neuronWeights(layer, neuron);
  if (!found) return { layer, neuron, weights: null, pixels: null };
  const { layer: from, weights, pixels, ...rest } = found;
  const list = (image: typeof pixels) => image && { shape: image.shape, values: [...image.values] };
  return { layer, neuron, from, ...rest, weights: list(weights), pixels: list(pixels) };
}

/** Throws a 404. */
function readIndex(text: string, name: string, count: number): number {
  const index = /^\d{1,10}$/.test(text) ? Number(text) : count;
  if (index < count) return index;
  throw new HttpError(404, `Expected a number from 0 to ${count - 1} for ${name}, received ${text.slice(0, 60)}.`);
}
