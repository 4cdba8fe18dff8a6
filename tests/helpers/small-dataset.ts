import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import type { CatalogueEntry, Content, DataFile, DataSource } from '../../src/data/catalogue.js';
import { encodeIdx } from './idx.js';

export interface SmallFile {
  name: string;
  raw: Uint8Array;
  gzip: Uint8Array;
}

export interface SmallDataset {
  files: SmallFile[];
  entry(sources: DataSource[]): CatalogueEntry;
}

/** A data set in MNIST's format with a few images of a pattern that gzip shortens. */
export function smallDataset(trainCount = 30, testCount = 20): SmallDataset {
  const images = (count: number, offset: number) =>
    encodeIdx(
      'u8',
      [count, 28, 28],
      Uint8Array.from({ length: count * 784 }, (_, i) => (i % 7 === 0 ? (i * 31 + offset) % 256 : 0)),
    );
  const labels = (count: number, offset: number) =>
    encodeIdx(
      'u8',
      [count],
      Uint8Array.from({ length: count }, (_, i) => (i + offset) % 10),
    );
  const file = (name: string, raw: Uint8Array): SmallFile => ({ name, raw, gzip: new Uint8Array(gzipSync(raw)) });
  const files = [
    file('train-images-idx3-ubyte', images(trainCount, 0)),
    file('train-labels-idx1-ubyte', labels(trainCount, 0)),
    file('t10k-images-idx3-ubyte', images(testCount, 5)),
    file('t10k-labels-idx1-ubyte', labels(testCount, 5)),
  ];
  const entry = (sources: DataSource[]): CatalogueEntry => ({
    name: 'small',
    title: 'Small',
    imageShape: [28, 28, 1],
    classNames: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
    files: {
      trainImages: describeFile(files[0]),
      trainLabels: describeFile(files[1]),
      testImages: describeFile(files[2]),
      testLabels: describeFile(files[3]),
    },
    sources,
  });
  return { files, entry };
}

function describeFile({ name, raw, gzip }: SmallFile): DataFile {
  return { name, raw: describeContent(raw), gzip: describeContent(gzip) };
}

function describeContent(bytes: Uint8Array): Content {
  return { bytes: bytes.length, algorithm: 'sha256', digest: createHash('sha256').update(bytes).digest('hex') };
}

/** Writes the raw files of a data set into a folder, and returns the folder. */
export function writeFiles(folder: string, files: readonly SmallFile[]): string {
  mkdirSync(folder, { recursive: true });
  for (const { name, raw } of files) writeFileSync(join(folder, name), raw);
  return folder;
}

/** A folder that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mnist-train-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export type Answer = (file: SmallFile, request: IncomingMessage, response: ServerResponse) => void;

/** Answers as a working mirror does. */
export const serve: Answer = (file, _request, response) => {
  response.writeHead(200, { 'content-length': file.gzip.length }).end(file.gzip);
};

export interface TestServer {
  source: DataSource;
  url: string;
  /** The paths asked for, in order. */
  requests: string[];
}

/** A web server on this machine that answers requests for `<file>.gz` and `<file>`; other paths get 404. */
export async function startServer(title: string, files: readonly SmallFile[], answer: Answer): Promise<TestServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push(path);
    const file = files.find(({ name }) => path.endsWith(`/${name}.gz`) || path.endsWith(`/${name}`));
    if (file === undefined) response.writeHead(404).end();
    else answer(file, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { source: { kind: 'http', title, url }, url, requests };
}

/** A source at a port of this machine where nobody listens. */
export async function closedSource(title: string): Promise<DataSource> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return { kind: 'http', title, url: `http://127.0.0.1:${port}/` };
}
