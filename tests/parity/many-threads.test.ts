import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { dense, l2, sequential, setThreadBudget, sgd } from '../../src/index.js';
import { availableBackends, nativeBackends, titleOf } from '../helpers/backends.js';

/**
 * Layers with too few columns for as many threads are divided by rows, which lie in several stretches of memory where
 * there are more columns than a panel has. Ops that go element by element divide them in another way then.
 */
describe.each(nativeBackends().map((backend) => [titleOf(backend), backend] as const))(
  'more threads than columns, %s',
  (_, native) => {
    const inputs = Uint8Array.from({ length: 33 * 56 }, (_value, index) => Math.imul(index, 2654435761) >>> 24);
    const data = { inputs, targets: Uint8Array.from({ length: 33 }, (_value, index) => index % 3) };
    async function trained(backend: Backend, units: number, threads?: number): Promise<string> {
      const layers = [
        dense({ units, activation: 'relu', kernelRegularizer: l2(0.01) }),
        dense({ units: 3, activation: 'softmax' }),
      ];
      const model = sequential(layers, { inputShape: [56], seed: 1, backend, threads });
      model.compile({
        optimizer: sgd({ learningRate: 0.01, momentum: 0.9, useEma: true, emaMomentum: 0.5 }),
        loss: 'categoricalCrossentropy',
      });
      await model.fit(data, { epochs: 2, batchSize: 16, onWarning: () => {} });
      const sha256 = model.weightsSha256();
      model.dispose();
      return sha256;
    }

    it.each([64, 70, 100, 130])('%i units, penalties and averages: the bits of TypeScript', async (units) => {
      const wanted = await trained(availableBackends()[0], units);
      for (const threads of [5, 8, 12]) {
        // A race does not show every time. All of a team at work, or fewer, each with the shares of several.
        for (const budget of [256, 3, 256, 4, 256, 2]) {
          setThreadBudget(budget);
          expect(await trained(native, units, threads), `${threads}, budget ${budget}`).toBe(wanted);
        }
      }
    });
  },
);
