import type { FastifyPluginCallback, FastifyReply } from 'fastify';
import type { Predictor } from '../index.js';
import { atOnce, inTurns } from '../pieces.js';
import { answerOf, answersOf } from './answers.js';
import type { Decoder } from './decoder.js';
import { HttpError } from './http-error.js';
import { type BodyKind, type RequestedSamples, readJson, wantedBy } from './inputs.js';
import type { ServerMetrics } from './metrics.js';
import type { ServedModel, Service } from './service.js';

/** Up to so many samples are predicted on the spot: microseconds, less than crossing to another thread takes. */
const MOST_AT_ONCE = 16;

interface PredictRoutesOptions {
  service: Service;
  decoder: Decoder;
  metrics: ServerMetrics;
  batchLimit: number;
  pixelLimit: number;
}

/** `POST /predict`: bytes, a PNG or JSON to probabilities. */
export const predictRoutes: FastifyPluginCallback<PredictRoutesOptions> = (server, options, done) => {
  const { service, decoder, metrics, batchLimit, pixelLimit } = options;
  const types = ['application/octet-stream', 'image/png', 'application/json'];
  server.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, parsed) => parsed(null, body));
  server.post('/predict', ({ headers, body, raw }, reply) => {
    const model = service.current;
    checkEncoding(headers['content-encoding']);
    const wanted = wantedBy(model.predictor, batchLimit, pixelLimit);
    // The parser has seen to it that nothing else comes here, but for requests without a body.
    const samples = Buffer.isBuffer(body)
      ? decoder.decode({ kind: kindOf(headers['content-type']!), body, wanted }, raw.socket)
      : readJson(body, wanted);
    if (!(samples instanceof Promise)) return answer(samples, model, reply);
    // What is in service when the body is decoded may take samples of another shape.
    const release = service.hold(model);
    return samples.then((decoded) => answer(decoded, model, reply)).finally(release);
  });
  done();

  function answer(samples: RequestedSamples, { predictor, digest }: ServedModel, reply: FastifyReply) {
    const { values, count, single } = samples;
    reply.header('content-type', 'application/json; charset=utf-8').header('x-model-digest', digest);
    if (count > MOST_AT_ONCE) return answerBatch(samples, predictor, reply);
    const outputs = predictor.predictSync(values);
    const text = single ? answerOf(outputs, predictor) : atOnce(answersOf(outputs, count, predictor));
    metrics.predictions.inc(count);
    return reply.send(text);
  }

  async function answerBatch({ values, count }: RequestedSamples, predictor: Predictor, reply: FastifyReply) {
    const outputs = await predictor.predict(values);
    const text = await inTurns(answersOf(outputs, count, predictor));
    metrics.predictions.inc(count);
    return reply.send(text);
  }
};

function checkEncoding(encoding: string | undefined): void {
  if (encoding === undefined || encoding === 'identity') return;
  throw new HttpError(415, `Expected a body without content-encoding, received ${encoding}.`);
}

function kindOf(type: string): BodyKind {
  if (/^image\/png/i.test(type)) return 'png';
  return /^application\/json/i.test(type) ? 'json' : 'bytes';
}
