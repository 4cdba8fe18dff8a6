import type { FastifyPluginCallback } from 'fastify';
import { answerOf, answersOf } from './answers.js';
import { HttpError } from './http-error.js';
import { type RequestedSamples, readBytes, readJson, readPng, wantedBy } from './inputs.js';
import type { ServerMetrics } from './metrics.js';
import type { Service } from './service.js';

/** Up to so many samples are predicted on the spot: microseconds, less than crossing to another thread takes. */
const MOST_AT_ONCE = 16;

interface PredictRoutesOptions {
  service: Service;
  metrics: ServerMetrics;
  batchLimit: number;
  pixelLimit: number;
}

/** `POST /predict`: bytes, a PNG or JSON to probabilities. */
export const predictRoutes: FastifyPluginCallback<PredictRoutesOptions> = (server, options, done) => {
  const { service, metrics, batchLimit, pixelLimit } = options;
  const asBuffer = { parseAs: 'buffer' as const };
  server.addContentTypeParser(['application/octet-stream', 'image/png'], asBuffer, (_request, body, parsed) =>
    parsed(null, body),
  );
  server.post('/predict', (request, reply) => {
    const { predictor, digest } = service.current;
    checkEncoding(request.headers['content-encoding']);
    const wanted = wantedBy(predictor, batchLimit, pixelLimit);
    const samples = read(request.headers['content-type'], request.body, wanted);
    reply.header('content-type', 'application/json; charset=utf-8').header('x-model-digest', digest);
    const { values, count, single } = samples;
    if (count > MOST_AT_ONCE) {
      return predictor.predict(values).then((outputs) => {
        const answer = answersOf(outputs, count, predictor);
        metrics.predictions.inc(count);
        return reply.send(answer);
      });
    }
    const outputs = predictor.predictSync(values);
    const answer = single ? answerOf(outputs, predictor) : answersOf(outputs, count, predictor);
    metrics.predictions.inc(count);
    return reply.send(answer);
  });
  done();
};

function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === 'identity') return;
  throw new HttpError(415, `Expected a body without content-encoding, received ${encoding}.`);
}

/** The parsers have seen to it that nothing else comes here, but for requests without a body. */
function read(type: string | undefined, body: unknown, wanted: ReturnType<typeof wantedBy>): RequestedSamples {
  if (!Buffer.isBuffer(body)) return readJson(body, wanted);
  return type && /^image\/png/i.test(type) ? readPng(body, wanted) : readBytes(body, wanted);
}
