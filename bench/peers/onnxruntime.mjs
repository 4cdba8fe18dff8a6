// ONNX Runtime: prediction by 784-128-10 with random weights, as one JSON line {"microseconds", "imagesPerSecond"}.
//   node onnxruntime.mjs --modules FOLDER [--threads 1]
// FOLDER is where bench/peers/package.json was installed (a folder with node_modules).
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { medianMilliseconds } from './idx.mjs';

const MANY = 10_000;
const { values } = parseArgs({
  options: { modules: { type: 'string', default: '.' }, threads: { type: 'string', default: '1' } },
});
const require = createRequire(join(resolve(values.modules), 'package.json'));
const { onnx } = require('onnx-proto');
const ort = require('onnxruntime-node');

const random = (length) => Float32Array.from({ length }, () => (Math.random() - 0.5) * 0.1);
const weight = (name, dims) => {
  const content = random(dims.reduce((product, dimension) => product * dimension));
  return onnx.TensorProto.create({ name, dims, dataType: 1, rawData: Buffer.from(content.buffer) });
};
const port = (name, columns) => ({
  name,
  type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'N' }, { dimValue: columns }] } } },
});
const graph = {
  name: 'mlp',
  node: [
    { opType: 'Gemm', input: ['x', 'w1', 'b1'], output: ['sums'] },
    { opType: 'Relu', input: ['sums'], output: ['hidden'] },
    { opType: 'Gemm', input: ['hidden', 'w2', 'b2'], output: ['logits'] },
    { opType: 'Softmax', input: ['logits'], output: ['y'] },
  ],
  input: [port('x', 784)],
  output: [port('y', 10)],
  initializer: [weight('w1', [784, 128]), weight('b1', [128]), weight('w2', [128, 10]), weight('b2', [10])],
};
const model = onnx.ModelProto.encode({ irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph }).finish();
const session = await ort.InferenceSession.create(Buffer.from(model), { intraOpNumThreads: Number(values.threads) });
const predict = async (count, calls) => {
  const x = new ort.Tensor('float32', random(count * 784), [count, 784]);
  return medianMilliseconds(calls, () => session.run({ x }));
};
await predict(1, 500);
const one = await predict(1, 3000);
const many = await predict(MANY, 20);
console.log(JSON.stringify({ microseconds: one * 1000, imagesPerSecond: (MANY / many) * 1000 }));
