// See watchdog.ts.
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

const { running, target, seed, seconds } = workerData;
let last = 0;
let since = performance.now();
setInterval(() => {
  const input = Atomics.load(running, 0);
  if (input !== last) {
    last = input;
    since = performance.now();
  }
  if (input === 0 || performance.now() - since < seconds * 1000) return;
  const again = `npm run fuzz -- --target ${target} --seed ${seed} --path ${input - 1}`;
  writeSync(2, `\nfuzz ${target}: input ${input} takes longer than ${seconds} seconds. Repeat it: ${again}\n`);
  process.kill(process.pid, 'SIGKILL');
}, 500);
