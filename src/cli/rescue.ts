import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { MnistTrainError, type Sequential } from '../index.js';
import type { Output } from './output.js';

type Metadata = Record<string, string>;

/** Saves a model. What the disk refuses is thrown, but the training is not lost: the model goes elsewhere. */
export async function saveOrRescue(model: Sequential, out: string, metadata: Metadata, output: Output): Promise<void> {
  try {
    await model.save(out, { metadata });
  } catch (error) {
    if (error instanceof MnistTrainError && error.code === 'ERR_FILE') await rescue(model, out, metadata, output);
    throw error;
  }
}

/** Saves a model in a folder of its own among the system's temporary files, and says where. Never fails. */
export async function rescue(model: Sequential, out: string, metadata: Metadata, output: Output): Promise<void> {
  let folder: string | undefined;
  try {
    folder = await mkdtemp(join(tmpdir(), 'mnist-train-rescued-'));
    const path = join(folder, basename(out));
    await model.save(path, { metadata });
    output.note(`The model trained so far is in ${path}.`);
  } catch {
    // Nor is there room here: what ended the training is the error to tell.
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
