// What Node.js and fastify themselves answer on a machine: the ceiling of bench/serve.mjs, which starts this file.
// node bench/bare-server.mjs http|fastify
import { createServer } from 'node:http';
import fastify from 'fastify';

const ANSWER = JSON.stringify({ digit: 7, probability: 0.5, probabilities: Array(10).fill(0.0123456) });

const listening = (url) => console.log(JSON.stringify({ event: 'listening', url }));

/** Reads the body and answers as long a text as a prediction. */
function bareHttp() {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      Buffer.concat(chunks);
      response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(ANSWER);
    });
  });
  server.listen(0, '127.0.0.1', () => listening(`http://127.0.0.1:${server.address().port}`));
  process.once('SIGTERM', () => server.close(() => process.exit()));
}

async function bareFastify() {
  const server = fastify({ forceCloseConnections: true });
  server.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, parsed) =>
    parsed(null, body),
  );
  server.post('/predict', (_request, reply) =>
    reply.header('content-type', 'application/json; charset=utf-8').send(ANSWER),
  );
  listening(await server.listen({ port: 0, host: '127.0.0.1' }));
  process.once('SIGTERM', () => server.close());
}

if (process.argv[2] === 'http') bareHttp();
else await bareFastify();
