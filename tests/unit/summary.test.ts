import { expect, it } from 'vitest';
import {
  activation,
  batchNormalization,
  conv2d,
  dense,
  flatten,
  globalAveragePooling2d,
  maxPooling2d,
  residual,
  sequential,
  softmax,
} from '../../src/index.js';

it('lists layers, shapes, parameters and multiply-adds, the implied flatten included', () => {
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [28, 28, 1], name: 'digits' });
  expect(model.countParameters()).toBe(101_770);
  expect(model.summary()).toBe(
    [
      'Model digits, input [28, 28, 1]',
      '-------------------------------------------------------------',
      'Layer               Output shape   Parameters   Multiply-adds',
      '-------------------------------------------------------------',
      'flatten             [784]                   0               0',
      '0 dense (relu)      [128]             100,480         100,352',
      '1 dense (softmax)   [10]                1,290           1,280',
      '-------------------------------------------------------------',
      '101,770 parameters, 407,080 bytes',
      '101,632 multiply-adds per sample',
    ].join('\n'),
  );
});

it('numbers layers as they were given', () => {
  const summary = sequential([flatten(), dense({ units: 3, useBias: false })], { inputShape: [2, 2] }).summary();
  expect(summary).toMatch(/^0 flatten +\[4\] +0 +0$/m);
  expect(summary).toMatch(/^1 dense +\[3\] +12 +12$/m);
});

it('lists the layers inside a residual once, and what no optimizer changes', () => {
  const inner = residual({
    layers: [conv2d({ filters: 4, kernelSize: 3, padding: 'same' }), batchNormalization()],
    shortcut: [conv2d({ filters: 4, kernelSize: 1, useBias: false })],
  });
  const outer = residual({ layers: [residual({ layers: [activation({ activation: 'relu' })] })] });
  const layers = [inner, outer, maxPooling2d(), globalAveragePooling2d(), dense({ units: 3 }), softmax()];
  const model = sequential(layers, { inputShape: [6, 6, 2], name: 'net' });
  // Convolution 3·3·2·4 + 4, normalization 4 · 4, convolution 2 · 4, dense 4 · 3 + 3.
  expect(model.countParameters()).toBe(76 + 8 + 8 + 15);
  expect(model.summary()).toBe(
    [
      'Model net, input [6, 6, 2]',
      '--------------------------------------------------------------------',
      'Layer                      Output shape   Parameters   Multiply-adds',
      '--------------------------------------------------------------------',
      '0.0 conv2d                 [6, 6, 4]              76           2,592',
      '0.1 batchNormalization     [6, 6, 4]              16               0',
      '0.shortcut.0 conv2d        [6, 6, 4]               8             288',
      '0 residual                 [6, 6, 4]               0               0',
      '1.0.0 activation (relu)    [6, 6, 4]               0               0',
      '1.0 residual               [6, 6, 4]               0               0',
      '1 residual                 [6, 6, 4]               0               0',
      '2 maxPooling2d             [3, 3, 4]               0               0',
      '3 globalAveragePooling2d   [4]                     0               0',
      '4 dense                    [3]                    15              12',
      '5 softmax                  [3]                     0               0',
      '--------------------------------------------------------------------',
      '115 parameters, 460 bytes, 8 of them not trainable',
      '2,892 multiply-adds per sample',
    ].join('\n'),
  );
});
