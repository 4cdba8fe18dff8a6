import { readFile } from 'node:fs/promises';
import { checkInteger, describeValue, expected, MnistTrainError } from '../errors.js';
import { fileError, writeFileAtomic } from '../files.js';
import { type DecodedTensor, decodeSafetensors, encodeSafetensors } from '../formats/safetensors.js';
import { layerFromConfig } from '../layers/from-config.js';
import type { LayerConfig, ParameterSpec } from '../layers/layer.js';
import { checkOptions } from '../options.js';
import { sizeOf } from '../program/program.js';
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

/** Writes a model file; see `Sequential.save`. */
export async function saveModel(
  path: string,
  config: ModelConfig,
  stack: Stack,
  weights: readonly Float32Array[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const tensors = stack.parameters.map(({ name, spec }, index) => {
    const values = weights[index];
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) {
      throw new MnistTrainError(
        'ERR_NON_FINITE',
        `Expected finite weights to save, received ${values[wrong]} in ${name}. The training diverged; nothing was written.`,
      );
    }
    if (!spec.fileAxes) return { name, shape: spec.shape, data: values };
    return { name, shape: fileShape(spec), data: permute(values, spec.shape, spec.fileAxes) };
  });
  const all = { ...metadata, [FORMAT_KEY]: 'pt', [ARCHITECTURE_KEY]: JSON.stringify(config) };
  await writeFileAtomic(path, encodeSafetensors(tensors, all));
}

export interface LoadedModel {
  config: ModelConfig;
  stack: Stack;
  weights: Float32Array[];
  metadata: Record<string, string>;
}

/** Reads a model file; see `loadModel`. */
export async function readModel(path: string): Promise<LoadedModel> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw fileError('read', path, cause);
  }
  const { tensors, metadata } = decodeSafetensors(bytes, path);
  const { config, stack } = readArchitecture(metadata[ARCHITECTURE_KEY], path);
  const weights = stack.parameters.map((parameter) => readTensor(parameter, tensors.get(parameter.name), path));
  for (const name of tensors.keys()) {
    if (!stack.parameters.some((parameter) => parameter.name === name)) {
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
    const config = checkOptions<ModelConfig>(JSON.parse(text), 'the architecture', names as never);
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
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw formatError(path, `The architecture in the metadata ${ARCHITECTURE_KEY} is not valid: ${reason}`, cause);
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

function readTensor({ name, spec }: Parameter, tensor: DecodedTensor | undefined, path: string): Float32Array {
  const shape = fileShape(spec);
  const wanted = `F32 [${shape.join(', ')}]`;
  const refused = (what: string, found: string) =>
    formatError(path, `Expected ${what} for tensor ${name}, ${found}. ${SAVE_AGAIN}`);
  if (!tensor) throw refused(wanted, 'found no such tensor');
  if (tensor.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
    throw refused(wanted, `received ${tensor.dtype} [${tensor.shape.join(', ')}]`);
  }
  const wrong = tensor.data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw refused('finite numbers', `received ${tensor.data[wrong]} at element ${wrong}`);
  if (!spec.fileAxes) return tensor.data;
  return permute(
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

/** Dimension i of the result is dimension axes[i] of `shape`; the last one of the result runs fastest. */
function permute(values: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const permuted = new Float32Array(values.length);
  let written = 0;
  const copy = (depth: number, from: number) => {
    const [size, stride] = [shape[axes[depth]], strides[axes[depth]]];
    if (depth < axes.length - 1) for (let i = 0; i < size; i++) copy(depth + 1, from + i * stride);
    else for (let i = 0; i < size; i++) permuted[written++] = values[from + i * stride];
  };
  copy(0, 0);
  return permuted;
}
