import { readFile } from 'node:fs/promises';
import { checkInteger, describeValue, expected, MnistTrainError } from '../errors.js';
import { fileError, writeFileAtomic } from '../files.js';
import { type DecodedTensor, decodeSafetensors, encodeSafetensors } from '../formats/safetensors.js';
import { layerFromConfig } from '../layers/from-config.js';
import type { LayerConfig, ParameterSpec } from '../layers/layer.js';
import { checkOptions } from '../options.js';
import { inTurns, type Pieces, spans } from '../pieces.js';
import { sizeOf } from '../program/program.js';
import { throwIfAborted } from './abort.js';
import { findNonFinite } from './numbers.js';
import { buildStack, type Parameter, type Stack } from './stack.js';

/** The architecture of a model as plain JSON; files hold it in the metadata under `mnist_train.model`. */
export interface ModelConfig {
  formatVersion: number;
  name: string;
  inputShape: readonly number[];
  seed: number;
  layers: readonly LayerConfig[];
  classNames?: readonly string[];
}

export const FORMAT_VERSION = 1;
const ARCHITECTURE_KEY = 'mnist_train.model';
/** Written for PyTorch users' tools, some of which refuse files without it. */
const FORMAT_KEY = 'format';
const SAVE_AGAIN = 'The file is damaged or was changed: save or fetch it again.';

/** True for metadata keys that belong to this package. */
export function isReservedKey(key: string): boolean {
  return key === FORMAT_KEY || key.startsWith('mnist_train.');
}

/** Writes a model file; see `Sequential.save`. What `goOn` throws now and then ends it before anything is written. */
export async function saveModel(path: string, model: LoadedModel, goOn: () => void): Promise<void> {
  const bytes = await inTurns(encodeModel(model), goOn);
  goOn();
  await writeFileAtomic(path, bytes);
}

function* encodeModel({ config, stack, weights, metadata }: LoadedModel): Pieces<Uint8Array> {
  const tensors = [];
  for (const [index, { name, spec }] of stack.parameters.entries()) {
    const values = weights[index];
    const wrong = yield* findNonFinite(values);
    if (wrong >= 0) {
      throw new MnistTrainError(
        'ERR_NON_FINITE',
        `Expected finite weights to save, received ${values[wrong]} in ${name}. The training diverged; nothing was written.`,
      );
    }
    const data = spec.fileAxes ? yield* permute(values, spec.shape, spec.fileAxes) : values;
    tensors.push({ name, shape: fileShape(spec), data });
  }
  const all = { ...metadata, [FORMAT_KEY]: 'pt', [ARCHITECTURE_KEY]: JSON.stringify(config) };
  return yield* encodeSafetensors(tensors, all);
}

export interface LoadedModel {
  config: ModelConfig;
  stack: Stack;
  weights: readonly Float32Array[];
  metadata: Readonly<Record<string, string>>;
}

/** Reads a model file; see `loadModel`. */
export async function readModel(path: string, signal?: AbortSignal): Promise<LoadedModel> {
  const goOn = () => throwIfAborted('Loading', signal);
  goOn();
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, { signal });
  } catch (cause) {
    goOn();
    throw fileError('read', path, cause);
  }
  return inTurns(decodeModel(bytes, path), goOn);
}

function* decodeModel(bytes: Uint8Array, path: string): Pieces<LoadedModel> {
  const { tensors, metadata } = yield* decodeSafetensors(bytes, path);
  const { config, stack } = readArchitecture(metadata[ARCHITECTURE_KEY], path);
  const weights: Float32Array[] = [];
  for (const parameter of stack.parameters) {
    weights.push(yield* readTensor(parameter, tensors.get(parameter.name), path));
  }
  const wanted = new Set(stack.parameters.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (!wanted.has(name)) {
      const problem = `Expected only the tensors of the model's layers, received tensor ${describeValue(name)}`;
      throw formatError(path, `${problem}. ${SAVE_AGAIN}`);
    }
  }
  const own = Object.fromEntries(Object.entries(metadata).filter(([key]) => !isReservedKey(key)));
  return { config, stack, weights, metadata: own };
}

function readArchitecture(text: string | undefined, path: string): { config: ModelConfig; stack: Stack } {
  if (text === undefined) {
    throw formatError(
      path,
      `Expected the architecture in the metadata ${ARCHITECTURE_KEY}, found none. Was the file written by model.save?`,
    );
  }
  try {
    const names = { formatVersion: true, name: true, inputShape: true, seed: true, layers: true, classNames: true };
    const config = checkOptions<ModelConfig>(parseJson(text), 'the architecture', names as never);
    checkInteger(
      config.formatVersion,
      'formatVersion (files of newer versions need a newer mnist-train)',
      1,
      FORMAT_VERSION,
    );
    if (!Array.isArray(config.layers))
      throw new Error(`Expected a list for layers, received ${describeValue(config.layers)}.`);
    const stack = buildStack(config.layers.map(layerFromConfig), config.inputShape);
    checkModelFields(config, stack.outputSize);
    return { config, stack };
  } catch (cause) {
    // The stack's end is the only other one that layers within layers can come to.
    const deep = cause instanceof RangeError;
    const reason = deep ? 'Expected layers that end, received too many within each other.' : (cause as Error).message;
    throw formatError(path, `The architecture in the metadata ${ARCHITECTURE_KEY} is not valid: ${reason}`, cause);
  }
}

function parseJson(text: string): ModelConfig {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`Expected JSON, received "${(cause as Error).message}".`, { cause });
  }
}

/** Checks what a model carries besides its layers. Throws ERR_ARGUMENT. */
export function checkModelFields(
  { name, seed, classNames }: Pick<ModelConfig, 'name' | 'seed' | 'classNames'>,
  outputs: number,
): void {
  if (typeof name !== 'string' || name === '') throw expected('a word or more', 'name', name);
  checkInteger(seed, 'seed', 0);
  if (classNames === undefined) return;
  const areNames = Array.isArray(classNames) && classNames.every((each) => typeof each === 'string');
  if (!areNames || classNames.length !== outputs) {
    throw expected(`${outputs} words, one per output,`, 'classNames', classNames);
  }
}

function* readTensor({ name, spec }: Parameter, tensor: DecodedTensor | undefined, path: string): Pieces<Float32Array> {
  const shape = fileShape(spec);
  const wanted = `F32 [${shape.join(', ')}]`;
  const refused = (what: string, found: string) =>
    formatError(path, `Expected ${what} for tensor ${name}, ${found}. ${SAVE_AGAIN}`);
  if (!tensor) throw refused(wanted, 'found no such tensor');
  if (tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
    throw refused(wanted, `received ${tensor.dtype} [${tensor.shape.join(', ')}]`);
  }
  const wrong = yield* findNonFinite(tensor.data);
  if (wrong >= 0) throw refused('finite numbers', `received ${tensor.data[wrong]} at element ${wrong}`);
  if (!spec.fileAxes) return tensor.data;
  return yield* permute(
    tensor.data,
    shape,
    spec.fileAxes.map((_, axis) => spec.fileAxes!.indexOf(axis)),
  );
}

const fileShape = ({ shape, fileAxes }: ParameterSpec): readonly number[] =>
  fileAxes ? fileAxes.map((axis) => shape[axis]) : shape;

function formatError(path: string, problem: string, cause?: unknown): MnistTrainError {
  return new MnistTrainError('ERR_FORMAT', `${path}: ${problem}`, cause === undefined ? undefined : { cause });
}

/** Rows and columns of a block that is turned around at a time: its lines stay in the cache. */
const BLOCK = 32;

/** Dimension i of the result is dimension axes[i] of `shape`; the last one of the result runs fastest. */
function* permute(values: Float32Array, shape: readonly number[], axes: readonly number[]): Pieces<Float32Array> {
  if (shape.length === 2) return axes[0] === 1 ? yield* transpose(values, shape[0], shape[1]) : values;
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const permuted = new Float32Array(values.length);
  let written = 0;
  const copy = (depth: number, from: number) => {
    const [size, stride] = [shape[axes[depth]], strides[axes[depth]]];
    if (depth < axes.length - 1) for (let i = 0; i < size; i++) copy(depth + 1, from + i * stride);
    else for (let i = 0; i < size; i++) permuted[written++] = values[from + i * stride];
  };
  for (let i = 0; i < shape[axes[0]]; i++) {
    copy(1, i * strides[axes[0]]);
    yield;
  }
  return permuted;
}

function* transpose(values: Float32Array, rows: number, columns: number): Pieces<Float32Array> {
  const transposed = new Float32Array(values.length);
  for (const [top, bottom] of spans(rows, BLOCK)) {
    for (const [left, right] of spans(columns, BLOCK)) {
      for (let column = left; column < right; column++) {
        for (let row = top; row < bottom; row++) transposed[column * rows + row] = values[row * columns + column];
      }
    }
    yield;
  }
  return transposed;
}
