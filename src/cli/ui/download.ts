import type { DownloadProgress } from '../../data/download.js';
import type { Output } from '../output.js';
import { bytes } from './format.js';
import type { Progress } from './progress.js';

/** The progress bar of a download: one file after the other, each from nothing to whole. */
export class DownloadBar {
  readonly #output: Output;
  #progress: Progress | null = null;

  constructor(output: Output) {
    this.#output = output;
  }

  update({ file, source, receivedBytes, totalBytes }: DownloadProgress): void {
    this.#progress ??= this.#output.progress({
      // Not {total}: cli-progress has a value of that name, the number as it is.
      text: '{file}  {received} of {size}  {source}',
      textWidth: file.length + source.length + '  999.9 MB of 999.9 MB  '.length,
      total: totalBytes,
    });
    const values = { file, source, received: bytes(receivedBytes), size: bytes(totalBytes) };
    this.#progress.update(Math.min(receivedBytes, totalBytes), values, totalBytes);
  }

  stop(): void {
    this.#progress?.stop();
  }
}
