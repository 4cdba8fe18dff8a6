import { onTestFinished } from 'vitest';
import { type App, type AppOptions, createApp } from '../../src/server/app.js';
import { Service } from '../../src/server/service.js';
import { DECODE_WORKER } from './decode-worker.js';

/** The server of a model file with small limits, without a socket. Who calls it closes it. */
export async function openApp(path: string, limits: Partial<AppOptions> = {}) {
  const service = await Service.open(path, { backend: 'js' });
  const app: App = createApp({
    service,
    bodyLimit: 1e6,
    batchLimit: 100,
    pixelLimit: 1e5,
    maxConcurrent: 100,
    requestTimeoutMilliseconds: 5000,
    logger: false,
    decodeWorker: DECODE_WORKER,
    ...limits,
  });
  const close = () => app.server.close().then(() => service.dispose());
  return { ...app, app, service, close };
}

/** The same for the length of a test. */
export async function openAppInTest(path: string, limits?: Partial<AppOptions>) {
  const opened = await openApp(path, limits);
  onTestFinished(opened.close);
  return opened;
}
