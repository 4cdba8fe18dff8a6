import { once } from 'node:events';
import { Command, Option } from 'commander';
import { MnistTrainError } from '../../errors.js';
import { errorCode } from '../../files.js';
import { type App, createApp } from '../../server/app.js';
import { watchModel } from '../../server/reload.js';
import { Service } from '../../server/service.js';
import type { Context, Run } from '../context.js';
import { chooseBackend } from '../engine.js';
import { addEngineOptions, type CommonOptions, type EngineOptions } from '../options.js';
import type { Output } from '../output.js';
import { choice, integer, number, text } from '../values.js';

const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
const MEBIBYTE = 2 ** 20;

interface ServeOptions extends CommonOptions, EngineOptions {
  host: string;
  port: number;
  bodyLimit: number;
  batchLimit: number;
  pixelLimit: number;
  maxConcurrent: number;
  requestTimeout: number;
  drainTimeout: number;
  reload: boolean;
  logLevel: (typeof LOG_LEVELS)[number];
}

const seconds = (flag: string) => number(flag, 'above 0, up to 3600', (value) => value > 0 && value <= 3600);

export function serveCommand(run: Run): Command {
  const command = new Command('serve')
    .description(
      'Answer predictions over HTTP, and show a page to draw digits on. The model file is read again when it changes. ' +
        'Ctrl-C or SIGTERM ends it when the requests in flight are answered.',
    )
    .argument('<model>', 'model file that train wrote')
    .option('--host <address>', 'address to listen on; 0.0.0.0 for all', text('--host', 'an address'), '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 for one that is free', integer('--port', 0, 65_535), 8000)
    .option('--body-limit <bytes>', 'most bytes in a request', integer('--body-limit', 1, 2 ** 30), 8 * MEBIBYTE)
    .option('--batch-limit <n>', 'most samples in a request', integer('--batch-limit', 1, 1e6), 4096)
    .option('--pixel-limit <n>', 'most pixels in the PNGs of a request', integer('--pixel-limit', 1, 2 ** 26), 2 ** 20)
    .option(
      '--max-concurrent <n>',
      'most requests at a time, the others get 503',
      integer('--max-concurrent', 1, 1e6),
      1024,
    )
    .option(
      '--request-timeout <s>',
      'seconds within which a request must arrive, be decoded and its answer be taken',
      seconds('--request-timeout'),
      10,
    )
    .option('--drain-timeout <s>', 'seconds that requests in flight get at the end', seconds('--drain-timeout'), 10)
    .option('--no-reload', 'keep the model as it was read first')
    .addOption(
      new Option(
        '--log-level <level>',
        `what goes to stderr as JSON: ${LOG_LEVELS.join(', ')}; info has a line per request`,
      )
        .default('warn')
        .argParser(choice('--log-level', LOG_LEVELS)),
    );
  addEngineOptions(command);
  return command.action(
    run.action(serve, 'Stopping when the requests in flight are answered. Interrupt again to stop at once.'),
  );
}

async function serve(context: Context, options: ServeOptions, [path]: string[]): Promise<void> {
  const { output, signal } = context;
  const engine = { backend: await chooseBackend(options, output), threads: options.threads };
  const service = await Service.open(path, engine);
  const app = createApp({
    ...options,
    service,
    requestTimeoutMilliseconds: options.requestTimeout * 1000,
    logger: { level: options.logLevel, stream: process.stderr },
  });
  try {
    const url = await listen(app, options);
    tellListening(output, service, url);
    const stopWatching = options.reload ? watchModel(service, reloadEvents(app, service, output)) : () => {};
    try {
      if (!signal.aborted) await once(signal, 'abort');
    } finally {
      stopWatching();
    }
    output.event({ event: 'draining', inFlight: app.inFlight() });
    output.event({ event: 'stopped', drained: await drain(app, options.drainTimeout) });
  } finally {
    service.dispose();
  }
}

async function listen({ server }: App, { host, port }: ServeOptions): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (cause) {
    await server.close();
    const what = errorCode(cause) === 'EADDRINUSE' ? 'something else listens there' : (cause as Error).message;
    const hint = 'Choose another --port or --host.';
    throw new MnistTrainError('ERR_STATE', `Cannot listen on ${host} port ${port}: ${what}. ${hint}`, { cause });
  }
}

function tellListening(output: Output, service: Service, url: string): void {
  const { predictor, digest } = service.current;
  output.say(
    `Serving ${service.path} on ${output.style.strong(url)}. Draw a digit there, or POST it to ${url}/predict.`,
  );
  const { name: backend, isa, threads } = predictor.backend;
  output.event({ event: 'listening', url, model: service.path, weightsSha256: digest, backend, isa, threads });
}

function reloadEvents({ metrics, log }: App, service: Service, output: Output) {
  return {
    onReload: () => {
      const { version, digest } = service.current;
      metrics.reloads.inc({ result: 'ok' });
      log.info({ version, digest }, 'model reloaded');
      output.event({ event: 'reloaded', version, weightsSha256: digest });
    },
    onFailure: (error: Error) => {
      metrics.reloads.inc({ result: 'failed' });
      log.warn({ reason: error.message }, 'the model file changed and cannot be used; the model before stays');
      output.event({ event: 'reloadFailed', reason: error.message });
    },
  };
}

/** Takes no more connections and waits for the answers in flight. False when they took too long. */
async function drain({ server }: App, timeoutSeconds: number): Promise<boolean> {
  let drained = true;
  const timer = setTimeout(() => {
    drained = false;
    server.server.closeAllConnections();
  }, timeoutSeconds * 1000);
  await server.close();
  clearTimeout(timer);
  return drained;
}
