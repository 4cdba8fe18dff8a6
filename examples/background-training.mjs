// A server that trains in the background: requests are answered all the while, by the newest whole model.
//
//   node examples/background-training.mjs [PORT] [EPOCHS]
//   curl --data-binary @image.bin -H 'content-type: application/octet-stream' localhost:8000/predict
//
// image.bin: 784 bytes, a 28 x 28 image, white on black.
import fastify from 'fastify';
import { adam, dense, loadDataset, sequential } from 'mnist-train';

const [port = '8000', epochs = '5'] = process.argv.slice(2);

const { train } = await loadDataset('mnist');
const model = sequential([dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })], {
  inputShape: [28, 28, 1],
  seed: 1,
});
model.compile({ optimizer: adam({ learningRate: 1e-3 }), loss: 'categoricalCrossentropy' });

// What requests are answered with: an immutable snapshot and its version. Handlers read the variable once.
let service = { version: 0, predictor: model.snapshot() };

function swap() {
  const old = service;
  service = { version: old.version + 1, predictor: model.snapshot() };
  old.predictor.dispose(); // frees it when the last prediction on it has ended
}

// One core trains, the others are left to requests.
const stop = new AbortController();
const status = { state: 'training', epoch: 0, accuracy: null };
const training = model
  .fit(train, {
    epochs: Number(epochs),
    batchSize: 128,
    signal: stop.signal,
    onEpochEnd: ({ epoch, accuracy }) => {
      Object.assign(status, { epoch, accuracy });
      swap();
    },
  })
  .then(
    () => Object.assign(status, { state: 'trained' }),
    (error) => Object.assign(status, { state: stop.signal.aborted ? 'stopped' : 'failed', error: String(error) }),
  );

const app = fastify({ bodyLimit: 784 });
app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.get('/status', () => ({ ...status, version: service.version }));
app.post('/predict', async (request, reply) => {
  if (!Buffer.isBuffer(request.body) || request.body.length !== 784) {
    return reply.code(400).send({ error: 'Expected 784 bytes of application/octet-stream: one 28 x 28 image.' });
  }
  const { version, predictor } = service;
  const probabilities = predictor.predictSync(request.body); // microseconds
  return { version, digit: probabilities.indexOf(Math.max(...probabilities)), probabilities: [...probabilities] };
});

for (const name of ['SIGTERM', 'SIGINT']) {
  process.once(name, async () => {
    await app.close(); // requests in flight are answered
    stop.abort();
    await training;
  });
}
console.log(`listening on ${await app.listen({ port: Number(port) })}`);
