import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { Connections } from './connections.js';
import { Decoder } from './decoder.js';
import { errorBody, HttpError } from './http-error.js';
import { createMetrics, type ServerMetrics } from './metrics.js';
import { pageRoutes } from './page.js';
import { predictRoutes } from './predict.js';
import type { Service } from './service.js';

export interface AppOptions {
  service: Service;
  /** The most bytes in the body of a request. */
  bodyLimit: number;
  /** The most samples in a request. */
  batchLimit: number;
  /** The most pixels in the PNGs of a request. */
  pixelLimit: number;
  /** The most requests at a time; further ones are answered with 503. */
  maxConcurrent: number;
  /** Within so much a request must have arrived, head and body, a large body be decoded, and its answer be taken. */
  requestTimeoutMilliseconds: number;
  /** See `DecoderOptions`. */
  decodeWorker?: URL;
  /** Pino's options. */
  logger: { level: string; stream?: NodeJS.WritableStream } | false;
}

export interface App {
  readonly server: FastifyInstance;
  readonly metrics: ServerMetrics;
  readonly log: FastifyBaseLogger;
  /** Requests that have not been answered yet. */
  inFlight(): number;
}

/** A server that has not begun to listen: routes, limits, metrics, and one form of answer for every error. */
export function createApp(options: AppOptions): App {
  const { service, bodyLimit, requestTimeoutMilliseconds, logger } = options;
  const connections = new Connections();
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
      // Node's own answer says nothing; see `checkHost`.
      requireHostHeader: false,
    },
    clientErrorHandler: (error, socket) => refuseConnection(error, socket),
    frameworkErrors: answerError,
    return503OnClosing: false,
  });
  // Only what predict.ts and page.ts have parsers for: bodies for other paths are not read.
  server.removeAllContentTypeParsers();
  const inFlight = () => connections.inFlight;
  const metrics = createMetrics(inFlight, () => service.current.version);
  const refuseConnection = connectionErrors(connections, metrics);
  refuseTunnels(server, metrics);
  limitConcurrency(server, connections, options.maxConcurrent);
  const stopCutting = connections.cutSlowReaders(requestTimeoutMilliseconds);
  server.addHook('onClose', async () => stopCutting());
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
  server.register(pageRoutes, { model: () => service.current.predictor });
  const { batchLimit, pixelLimit, decodeWorker: workerFile } = options;
  const decoder = new Decoder({ bodyLimit, timeoutMilliseconds: requestTimeoutMilliseconds, workerFile });
  server.addHook('onClose', () => decoder.close());
  server.register(predictRoutes, { service, decoder, metrics, batchLimit, pixelLimit });
  return { server, metrics, log: server.log, inFlight };
}

/** Answers with 503 beyond so many requests at a time, and at the end. */
function limitConcurrency(server: FastifyInstance, connections: Connections, most: number): void {
  let closing = false;
  server.addHook('preClose', (done) => {
    closing = true;
    connections.closeAfterAnswers();
    done();
  });
  server.addHook('onRequest', ({ raw }, reply, done) => {
    connections.track(raw, reply.raw);
    if (closing) return done(new HttpError(503, 'The server is ending.', { connection: 'close' }));
    if (connections.inFlight > most) {
      const message = `${most} requests are being answered already. Try again in a second.`;
      return done(new HttpError(503, message, { 'retry-after': '1' }));
    }
    done(checkHost(raw));
  });
}

/** HTTP/1.1 asks for it (RFC 9112, 3.2). */
function checkHost({ httpVersion, headers }: IncomingMessage): HttpError | undefined {
  if (httpVersion !== '1.1' || headers.host !== undefined) return undefined;
  return new HttpError(400, 'Expected a host header, received none.', { connection: 'close' });
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
    const allowed = methods.get([...methods.keys()].find((url) => matches(path, url)) ?? '');
    const routes = [...methods.keys()].join(', ');
    if (!allowed) throw new HttpError(404, `Expected one of ${routes} for the path, received ${path.slice(0, 100)}.`);
    const list = [...allowed].join(', ');
    throw new HttpError(405, `Expected ${list} for ${path}, received ${request.method}.`, { allow: list });
  });
  server.setErrorHandler(answerError);
}

/** Whether a path is one of a route: `/page/:file` has those of one more part. */
function matches(path: string, url: string): boolean {
  const [parts, wanted] = [path.split('/'), url.split('/')];
  if (parts.length !== wanted.length) return false;
  return wanted.every((part, place) => part === parts[place] || (part.startsWith(':') && parts[place] !== ''));
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

/** What is no request: garbage, heads that are too large, and requests that do not arrive in time. */
function connectionErrors(connections: Connections, { requests }: ServerMetrics) {
  const refused = new WeakSet<Socket>();
  return (error: NodeJS.ErrnoException & { reason?: string }, socket: Socket): void => {
    // What comes after an error is one more.
    if (error.code === 'ECONNRESET' || socket.destroyed || refused.has(socket)) return;
    refused.add(socket);
    const [status, message] = CLIENT_ERRORS[error.code ?? ''] ?? [
      400,
      `This is not HTTP: ${error.reason ?? error.code}.`,
    ];
    connections.afterAnswers(socket, () => {
      requests.inc({ method: 'unknown', route: 'unknown', status });
      endWith(socket, status, message);
    });
  };
}

/** CONNECT, which Node would end without an answer, and expectations, which it would refuse without a reason. */
function refuseTunnels({ server }: FastifyInstance, { requests }: ServerMetrics): void {
  server.on('connect', ({ method }: IncomingMessage, socket: Socket) => {
    requests.inc({ method, route: 'unknown', status: 405 });
    socket.on('error', () => socket.destroy());
    endWith(socket, 405, `Expected GET or POST, received ${method}.`, 'allow: GET, POST\r\n');
  });
  server.on('checkExpectation', ({ method, headers }: IncomingMessage, reply: ServerResponse) => {
    requests.inc({ method, route: 'unknown', status: 417 });
    const message = `Expected 100-continue for expect, received ${headers.expect}.`;
    const type = 'application/json; charset=utf-8';
    reply.writeHead(417, { 'content-type': type, connection: 'close' }).end(JSON.stringify(errorBody(417, message)));
  });
}

function endWith(socket: Socket, status: number, message: string, headers = ''): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(errorBody(status, message));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8\r\n${headers}` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  // A client that goes on sending, or does not read, shall not keep the connection.
  setTimeout(() => socket.destroy(), 1000).unref();
}
