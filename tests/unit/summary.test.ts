import { expect, it } from 'vitest';
import { dense, flatten, sequential } from '../../src/index.js';

it('lists layers, shapes and parameters, the implied flatten included', () => {
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [28, 28, 1], name: 'digits' });
  expect(model.countParameters()).toBe(101_770);
  expect(model.summary()).toBe(
    [
      'Model digits, input [28, 28, 1]',
      '---------------------------------------------',
      'Layer               Output shape   Parameters',
      '---------------------------------------------',
      'flatten             [784]                   0',
      '0 dense (relu)      [128]             100,480',
      '1 dense (softmax)   [10]                1,290',
      '---------------------------------------------',
      '101,770 parameters, 407,080 bytes',
    ].join('\n'),
  );
});

it('numbers layers as they were given', () => {
  const summary = sequential([flatten(), dense({ units: 3, useBias: false })], { inputShape: [2, 2] }).summary();
  expect(summary).toMatch(/^0 flatten +\[4\] +0$/m);
  expect(summary).toMatch(/^1 dense +\[3\] +12$/m);
});
