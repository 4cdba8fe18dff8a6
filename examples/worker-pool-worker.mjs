// A worker of worker-pool.mjs: keeps a predictor, and answers jobs in the order in which they come.
import { parentPort, workerData } from 'node:worker_threads';
import { openPredictor } from 'mnist-train';

let predictor = openPredictor(workerData);

parentPort.on('message', ({ model, job, images, close }) => {
  if (close) return parentPort.close();
  if (model) {
    predictor.dispose();
    predictor = openPredictor(model);
    return;
  }
  const outputs = predictor.predictSync(images);
  parentPort.postMessage({ job, outputs }, [outputs.buffer]); // moved, not copied
});
