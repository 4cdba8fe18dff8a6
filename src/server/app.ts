import type { Socket } from 'node:net';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { errorBody, HttpError } from './http-error.js';
import { createMetrics, type ServerMetrics } from './metrics.js';
import { predictRoutes } from './predict.js';
import type { Service } from './service.js';

export interface AppOptions {
  service: Service;
  /** The most bytes in the body of a request. */
  bodyLimit: number;
  /** The most samples in a request. */
  batchLimit: number;
  /** The most requests at a time; further ones are answered with 503. */
  maxConcurrent: number;
  /** Within so much a request must have arrived, head and body. */
  requestTimeoutMilliseconds: number;
  /** Pino's options. */
  logger: { level: string; stream?: NodeJS.WritableStream } | false;
}

export interface App {
  readonly server: FastifyInstance;
  readonly metrics: ServerMetrics;
  readonly log: FastifyBaseLogger;
}

/** A server that has not begun to listen: routes, limits, metrics, and one form of answer for every error. */
export function createApp(options: AppOptions): App {
  const { service, bodyLimit, requestTimeoutMilliseconds, logger } = options;
  const server = fastify({
    logger: logger || false,
    // A line per request costs more than the prediction: only where somebody asked for it.
    logController: new LogController({ disableRequestLogging: !logger || !['info', 'debug'].includes(logger.level) }),
    bodyLimit,
    requestTimeout: requestTimeoutMilliseconds,
    forceCloseConnections: 'idle',
    http: {
      headersTimeout: requestTimeoutMilliseconds,
      // How long after its time a slow request may be noticed.
      connectionsCheckingInterval: Math.min(1000, requestTimeoutMilliseconds / 4),
    },
    clientErrorHandler: answerClientError,
    frameworkErrors: answerError,
    return503OnClosing: false,
  });
  // Only what predict.ts has a parser for, and JSON.
  server.removeContentTypeParser('text/plain');
  const inFlight = limitConcurrency(server, options.maxConcurrent);
  const metrics = createMetrics(inFlight, () => service.current.version);
  measure(server, metrics);
  answerErrors(server);
  server.get('/healthz', () => {
    const { predictor, version, digest } = service.current;
    const { name, inputShape, outputShape, backend } = predictor;
    const engine = { backend: backend.name, isa: backend.isa, threads: backend.threads };
    return { status: 'ok', model: { name, version, digest, inputShape, outputShape }, ...engine };
  });
  server.get('/metrics', async (_request, reply) => {
    reply.header('content-type', metrics.registry.contentType);
    return metrics.registry.metrics();
  });
  server.register(predictRoutes, { service, metrics, batchLimit: options.batchLimit });
  return { server, metrics, log: server.log };
}

/** Answers with 503 beyond so many requests at a time, and at the end. Returns how many there are. */
function limitConcurrency(server: FastifyInstance, most: number): () => number {
  let inFlight = 0;
  let closing = false;
  server.addHook('preClose', (done) => {
    closing = true;
    done();
  });
  server.addHook('onRequest', (_request, reply, done) => {
    inFlight++;
    // Comes however the answer ends, also when the client went away.
    reply.raw.once('close', () => {
      inFlight--;
    });
    if (closing) return done(new HttpError(503, 'The server is ending.', { connection: 'close' }));
    if (inFlight <= most) return done();
    done(
      new HttpError(503, `${most} requests are being answered already. Try again in a second.`, { 'retry-after': '1' }),
    );
  });
  return () => inFlight;
}

function measure(server: FastifyInstance, { requests, duration }: ServerMetrics): void {
  server.addHook('onResponse', (request, reply, done) => {
    // Paths that somebody made up would each be a time series of their own.
    const route = request.routeOptions.url ?? 'unknown';
    requests.inc({ method: request.method, route, status: reply.statusCode });
    duration.observe({ route }, reply.elapsedTime / 1000);
    done();
  });
}

function answerErrors(server: FastifyInstance): void {
  const methods = new Map<string, Set<string>>();
  server.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const each of [method].flat()) known.add(each);
    methods.set(url, known);
  });
  server.setNotFoundHandler((request) => {
    const [path] = request.url.split('?');
    const allowed = methods.get(path);
    const routes = [...methods.keys()].join(', ');
    if (!allowed) throw new HttpError(404, `Expected one of ${routes} for the path, received ${path.slice(0, 100)}.`);
    const list = [...allowed].join(', ');
    throw new HttpError(405, `Expected ${list} for ${path}, received ${request.method}.`, { allow: list });
  });
  server.setErrorHandler(answerError);
}

function answerError(error: FastifyError | HttpError, request: FastifyRequest, reply: FastifyReply): void {
  const { status, message, headers } = describe(error, request);
  if (status >= 500 && status !== 503) request.log.error(error);
  // The rest of a body that is refused is not read.
  if (status === 413 || status === 408) reply.header('connection', 'close');
  reply.code(status).headers(headers).send(errorBody(status, message));
}

interface Described {
  status: number;
  message: string;
  headers: Record<string, string>;
}

/** What an error says to the client. Mistakes of this program stay in the log. */
function describe(error: FastifyError | HttpError, request: FastifyRequest): Described {
  if (error instanceof HttpError)
    return { status: error.status, message: error.message, headers: { ...error.headers } };
  const status = error.statusCode ?? 500;
  const headers = {};
  if (status >= 500) return { status, message: 'The server failed; its log says why.', headers };
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return {
        status,
        message: `Expected a body of at most ${request.routeOptions.bodyLimit} bytes, received more.`,
        headers,
      };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': {
      const received = request.headers['content-type'] ?? 'none';
      const message = `Expected application/octet-stream, image/png or application/json for content-type, received ${received}.`;
      return { status, message, headers: { 'accept-post': 'application/octet-stream, image/png, application/json' } };
    }
    default:
      return { status, message: error.message, headers };
  }
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request took too long to arrive.'],
  HPE_HEADER_OVERFLOW: [431, 'The head of the request is too large.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The extensions of a chunk are too large.'],
};

/** What comes before a request is one: garbage, heads that are too large, and requests that do not arrive in time. */
function answerClientError(error: NodeJS.ErrnoException & { reason?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, message] = CLIENT_ERRORS[error.code ?? ''] ?? [
    400,
    `This is not HTTP: ${error.reason ?? error.code}.`,
  ];
  const body = JSON.stringify(errorBody(status, message));
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(
    `HTTP/1.1 ${status} ${errorBody(status, '').error.code}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // A client that goes on sending, or does not read, shall not keep the connection.
  setTimeout(() => socket.destroy(), 1000).unref();
}
