import { open, readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { MnistTrainError } from '../errors.js';
import { errorCode, fileError } from '../files.js';
import { readIdxFile } from './idx.js';
import { type ImageSize, importImage, MNIST_SIZE } from './image.js';

/** An image for a model, from a PNG or out of an IDX file. */
export interface NamedImage {
  /** Row-major, 0 background to 255 ink. */
  pixels: Uint8Array;
  /** The class, where the file's labels lie beside it. */
  label?: number;
  /** The file's name; images of an IDX file have their place behind it: "t10k-images-idx3-ubyte[7]". */
  name: string;
  /** How the image was converted, in words. */
  notes: string[];
}

/** More than the encoded size of any image that decodePng accepts and people have. */
const MAX_PNG_BYTES = 512 * 1024 * 1024;

/**
 * Reads a PNG (one image) or an IDX file of images (all of them, as they are; `.gz` too). Labels come along when an IDX file
 * named `…images-idx3…` has its `…labels-idx1…` beside it.
 *
 * @throws ERR_FILE when the file cannot be read, ERR_FORMAT when it is neither or damaged, ERR_SHAPE when an IDX file
 * holds images of another size, ERR_DATA when nothing is drawn or labels do not match.
 */
export async function importImages(path: string, size: ImageSize = MNIST_SIZE): Promise<NamedImage[]> {
  const name = basename(path);
  if (await looksLikeIdx(path)) return readIdxImages(path, name, size);
  const { pixels, notes } = importImage(await fromDisk(path, () => readFile(path)), path, size);
  return [{ pixels, name, notes }];
}

/** IDX begins with two zero bytes and gzip with 1f 8b; no image format does. */
async function looksLikeIdx(path: string): Promise<boolean> {
  const start = await fromDisk(path, async () => {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      if (size > MAX_PNG_BYTES) return null;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  });
  if (start === null)
    throw new MnistTrainError(
      'ERR_FORMAT',
      `Expected at most ${MAX_PNG_BYTES} bytes for the file ${path}, received more. Pass a PNG image or an IDX file.`,
    );
  return ['0000', '1f8b'].includes(start.toString('hex'));
}

async function readIdxImages(path: string, name: string, { width, height }: ImageSize): Promise<NamedImage[]> {
  const { type, shape, data } = await readIdxFile(path);
  const shown = `[${shape.join(', ')}] of ${type}`;
  const pixels = data instanceof Uint8Array ? data : null;
  if (!pixels || shape.length !== 3 || shape[1] !== height || shape[2] !== width)
    throw new MnistTrainError(
      'ERR_SHAPE',
      `Expected unsigned bytes of shape [count, ${height}, ${width}] for ${path}, received ${shown}. Pass images of the size that the model takes.`,
    );
  const labels = await readLabels(path, shape[0]);
  return Array.from({ length: shape[0] }, (_, i) => ({
    pixels: pixels.subarray(i * width * height, (i + 1) * width * height),
    ...(labels && { label: Number(labels[i]) }),
    name: `${name}[${i}]`,
    notes: ['kept as it is'],
  }));
}

async function readLabels(path: string, count: number): Promise<ArrayLike<number | bigint> | null> {
  const name = basename(path);
  const labelsPath = path.slice(0, path.length - name.length) + name.replace('images-idx3', 'labels-idx1');
  if (labelsPath === path || !(await exists(labelsPath))) return null;
  const { shape, data } = await readIdxFile(labelsPath);
  if (shape.length !== 1 || shape[0] !== count)
    throw new MnistTrainError(
      'ERR_DATA',
      `Expected ${count} labels for the images of ${path}, received shape [${shape.join(', ')}] in ${labelsPath}. Keep files of one data set together.`,
    );
  return data;
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw fileError('read', path, error);
  }
}

async function fromDisk<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw fileError('read', path, error);
  }
}
