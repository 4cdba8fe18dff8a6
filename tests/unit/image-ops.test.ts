import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import type { Conv2dBackwardOp, Conv2dOp, DropoutOp, Windows } from '../../src/program/ops.js';
import { U } from '../helpers/differences.js';
import { referencePhilox } from '../helpers/numerics-reference-images.js';
import { windowsOf } from '../helpers/op-cases-images.js';
import { normal, type OpSetup, type OpSetupBuilder, runOp, setUpOp } from '../helpers/op-harness.js';
import { failure } from '../helpers/toy.js';

/** What the ops of images promise beyond their arithmetic. Native has the same bits: tests/parity. */
const backend = createJsBackend();

const COLUMNS = 1000;
const DROPOUT = { rate: 0.3, seedLow: 42, seedHigh: 1, layer: 2, epoch: 1 };

/** Which elements dropout keeps of the samples that `order` names. */
async function keptOf(order: number[], change: Partial<typeof DROPOUT> = {}): Promise<boolean[][]> {
  const { epoch, ...options } = { ...DROPOUT, ...change };
  const setup = setUpOp(order.length, 1, (builder) => {
    builder.data(null, Uint32Array.from(order));
    const op: DropoutOp = {
      op: 'dropout',
      input: builder.batched('input', COLUMNS, () => 1),
      output: builder.batched('output', COLUMNS),
      ...options,
      epoch: builder.scalar('epoch', epoch),
    };
    builder.add(op);
  });
  const { output } = (await runOp(backend, setup)).outputs;
  const scale = Math.fround(1 / (1 - options.rate));
  expect(output.every((value) => value === 0 || value === scale)).toBe(true);
  return order.map((_, i) => Array.from(output.subarray(i * COLUMNS, (i + 1) * COLUMNS), (value) => value !== 0));
}

const shareOf = (mask: boolean[]) => mask.filter(Boolean).length / mask.length;

describe('dropout', () => {
  it.each([0, 0.1, 0.5, 0.9])('keeps a share of 1 - %f', async (rate) => {
    const mask = (await keptOf([...Array(64).keys()], { rate })).flat();
    // Five standard deviations of a binomial share.
    const bound = 5 * Math.sqrt((rate * (1 - rate)) / mask.length);
    expect(Math.abs(shareOf(mask) - (1 - rate))).toBeLessThanOrEqual(bound);
  });

  it('keeps the same of a sample wherever it stands, in whatever batch', async () => {
    const [a, b, c, d] = await keptOf([7, 100, 3, 4_000_000_000]);
    expect(await keptOf([3])).toEqual([c]);
    expect(await keptOf([4_000_000_000, 7, 5])).toEqual([d, a, expect.anything()]);
    expect(await keptOf([1, 2, 100])).toEqual([expect.anything(), expect.anything(), b]);
  });

  it('keeps others in another epoch, layer or sample, and with another seed', async () => {
    const [mask] = await keptOf([9]);
    const others = [
      ...(await keptOf([9], { epoch: 2 })),
      ...(await keptOf([9], { layer: 3 })),
      ...(await keptOf([10])),
      ...(await keptOf([9], { seedLow: 43 })),
      ...(await keptOf([9], { seedHigh: 2 })),
    ];
    // Independent masks agree where both keep and where both do not; five standard deviations again.
    const agreement = 0.7 ** 2 + 0.3 ** 2;
    const bound = 5 * Math.sqrt((agreement * (1 - agreement)) / COLUMNS);
    for (const other of others) {
      expect(Math.abs(shareOf(mask.map((kept, i) => kept === other[i])) - agreement)).toBeLessThan(bound);
    }
  });

  it('has a generator with the words that its authors published', () => {
    // Random123's known answers for philox4x32-10.
    const all = 0xffffffff;
    expect(referencePhilox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    expect(referencePhilox([all, all, all, all], [all, all])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  });
});

/** The values of one channel. */
const channel = (values: Float32Array, channels: number, c: number) => values.filter((_, at) => at % channels === c);
const meanOf = (values: Float32Array) => values.reduce((sum, x) => sum + x, 0) / values.length;

describe('batch normalization', () => {
  const [rows, positions, channels, epsilon] = [50, 9, 5, 0];

  /** Statistics and output of a batch far from zero. */
  function setUp(): OpSetup {
    return setUpOp(rows, 3, (builder) => {
      const columns = positions * channels;
      const input = builder.batched('input', columns, (stream) => Math.fround(100 + 3 * stream.normal()));
      const parts = builder.parts('parts', [2, channels]);
      const [mean, variance] = [builder.fixed('mean', [channels]), builder.fixed('variance', [channels])];
      const movingMean = builder.persistent('movingMean', 'parameter', [channels], () => 10);
      const movingVariance = builder.persistent('movingVariance', 'parameter', [channels], () => 1);
      const moving = { movingMean, movingVariance, momentum: 0.9 };
      const output = builder.batched('output', columns);
      builder.add({ op: 'channelMoments', input, parts, channels });
      builder.add({ op: 'batchNormStatistics', parts, mean, variance, ...moving, positions });
      builder.add({ op: 'batchNorm', input, mean, variance, gamma: null, beta: null, output, epsilon });
    });
  }

  it('finds the mean and variance of the whole batch, whose parts are of unequal size', async () => {
    const setup = setUp();
    const { outputs } = await runOp(backend, setup);
    const n = rows * positions;
    for (let c = 0; c < channels; c++) {
      const values = channel(setup.inputs.input, channels, c);
      const mean = meanOf(values);
      const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n;
      // A chain of n terms of one sign, then a few roundings; deviations from a mean that is off by that much.
      expect(Math.abs(outputs.mean[c] - mean)).toBeLessThan((n + 8) * U * mean);
      const off = (n + 8) * U * (variance + 2 * mean * Math.sqrt(variance));
      expect(Math.abs(outputs.variance[c] - variance)).toBeLessThan(off);
      expect(outputs.movingMean[c]).toBeCloseTo(0.9 * 10 + 0.1 * outputs.mean[c], 4);
      expect(outputs.movingVariance[c]).toBeCloseTo(0.9 + 0.1 * outputs.variance[c], 4);
    }
  });

  it('gives every channel a mean of 0 and a variance of 1', async () => {
    const { outputs } = await runOp(backend, setUp());
    const n = rows * positions;
    for (let c = 0; c < channels; c++) {
      const values = channel(outputs.output, channels, c);
      // What the mean is off by, in standard deviations: 100 / 3 of them lie between it and zero.
      const off = (n + 8) * U * (100 / 2.5);
      expect(Math.abs(meanOf(values))).toBeLessThan(off);
      expect(Math.abs(values.reduce((sum, x) => sum + x * x, 0) / n - 1)).toBeLessThan(4 * off);
    }
  });

  it('folded into the weights before it does what the two do', async () => {
    const [inputs, units] = [20, 7];
    const setup = setUpOp(6, 4, (builder) => {
      const x = builder.batched('x', inputs, normal);
      const weights = builder.persistent('weights', 'parameter', [inputs, units], normal);
      const bias = builder.persistent('bias', 'parameter', [units], normal);
      const gamma = builder.persistent('gamma', 'parameter', [units], normal);
      const beta = builder.persistent('beta', 'parameter', [units], normal);
      const mean = builder.fixed('mean', [units], normal);
      const variance = builder.fixed('variance', [units], (stream) => 1 + stream.uniform());
      const folded = {
        foldedWeights: builder.fixed('foldedWeights', [inputs, units]),
        foldedBias: builder.fixed('foldedBias', [units]),
      };
      const linear = { op: 'dense', activation: 'linear', negativeSlope: 0, input: x } as const;
      const statistics = { mean, variance, gamma, beta, epsilon: 0.001 };
      const [sums, apart, together] = ['sums', 'apart', 'together'].map((name) => builder.batched(name, units));
      builder.add({ ...linear, weights, bias, output: sums });
      builder.add({ op: 'batchNorm', input: sums, ...statistics, output: apart });
      builder.add({ op: 'foldBatchNorm', weights, bias, ...statistics, ...folded });
      builder.add({ ...linear, weights: folded.foldedWeights, bias: folded.foldedBias, output: together });
    });
    const { outputs } = await runOp(backend, setup);
    const { x, weights, bias, mean, gamma, beta } = setup.inputs;
    outputs.apart.forEach((value, at) => {
      const [i, j] = [Math.floor(at / units), at % units];
      let terms = Math.abs(bias[j]) + Math.abs(mean[j]);
      for (let k = 0; k < inputs; k++) terms += Math.abs(x[i * inputs + k] * weights[k * units + j]);
      // Two chains, a few roundings each; the variance is at least 1.
      const bound = (2 * inputs + 16) * U * (terms * Math.abs(gamma[j]) + Math.abs(beta[j]));
      expect(Math.abs(outputs.together[at] - value)).toBeLessThan(bound);
    });
  });
});

describe('the ops of images refuse, when the program is opened,', () => {
  const windows = windowsOf([6, 6, 2], [3, 3], [1, 1], 'same');
  const open = (declare: (builder: OpSetupBuilder) => void) => () => backend.open(setUpOp(20, 1, declare).program);

  /** A convolution to 4 filters, pooled, with some of it changed. */
  function conv2d(change: Partial<Conv2dOp>, weightRows = 18, outputs = 36) {
    return open((builder) => {
      builder.integers('winners', 36);
      const input = builder.batched('input', 72);
      const weights = builder.persistent('weights', 'parameter', [weightRows, 4], normal);
      const output = builder.batched('output', outputs);
      const activation = { activation: 'relu', negativeSlope: 0 } as const;
      const op = { input, weights, bias: null, output, winners: null, ...windows, ...activation, pool: true };
      builder.add({ op: 'conv2d', ...op, ...change });
    });
  }

  it.each<[Partial<Windows>, RegExp]>([
    [{ kernelHeight: 0 }, /whole number of at least 1 for kernelHeight of conv2d, received 0/],
    [{ strideX: 0 }, /whole number of at least 1 for strideX of conv2d, received 0/],
    [{ padTop: -1 }, /whole number of at least 0 for padTop of conv2d, received -1/],
    [{ channels: 1.5 }, /whole number of at least 1 for channels of conv2d, received 1.5/],
    [{ padLeft: 3 }, /less padding than kernelWidth 3 for conv2d, received 3/],
    [{ outputHeight: 8 }, /at most 7 for outputHeight of conv2d, received 8/],
    [{ strideX: 2 }, /at most 4 for outputWidth of conv2d, received 6/],
    [{ inputWidth: 7 }, /Expected 84 columns for buffer train\/input of conv2d, received 72/],
    [{ outputHeight: 4 }, /Expected 24 columns for buffer train\/output of conv2d, received 36/],
    [{ outputHeight: 1 }, /at least 2 × 2 windows for the pool of conv2d/],
  ])('windows that do not fit: %j', (change, message) => {
    expect(conv2d({})).not.toThrow();
    expect(conv2d(change)).toThrow(message);
  });

  it('weights of another size, pools behind curves, and winners of no pool', () => {
    expect(conv2d({}, 17)).toThrow(failure('ERR_SHAPE', /Expected 18 rows for buffer weights of conv2d, received 17/));
    expect(conv2d({ activation: 'tanh' })).toThrow(failure('ERR_ARGUMENT', /linear or relu for the activation/));
    expect(conv2d({ pool: false, winners: 'train/winners' }, 18, 144)).toThrow(
      failure('ERR_ARGUMENT', /no winners for a conv2d without pool/),
    );
  });

  it('gradients without the winners they need, and parts for fewer samples', () => {
    const backward = (change: Partial<Conv2dBackwardOp>, parts = 2) =>
      open((builder) => {
        const input = builder.batched('input', 72);
        const weights = builder.persistent('weights', 'parameter', [18, 4], normal);
        const dOutput = builder.batched('dOutput', 36);
        const winners = builder.integers('winners', 36);
        const dBiasParts = builder.fixed('dBiasParts', [parts, 4]);
        const op = { input, weights, dOutput, winners, dWeightParts: null, dBiasParts, dInput: null, ...windows };
        builder.add({ op: 'conv2dBackward', ...op, pool: true, ...change });
      });
    expect(backward({})).not.toThrow();
    expect(backward({ winners: null })).toThrow(failure('ERR_ARGUMENT', /the winners for a conv2dBackward with pool/));
    expect(backward({}, 1)).toThrow(
      failure('ERR_SHAPE', /fixed shape of 2 rows for buffer train\/dBiasParts of conv2dBackward, received 1/),
    );
  });

  it('sums of other sizes than their parts', () => {
    const sums = (parts: number[]) =>
      open((builder) => {
        builder.add({ op: 'sumParts', parts: builder.fixed('p', parts), output: builder.fixed('s', [3, 4]) });
      });
    expect(sums([2, 3, 4])).not.toThrow();
    expect(sums([1, 3, 4])).toThrow(failure('ERR_SHAPE', /24 elements of a fixed shape for buffer train\/p/));
    expect(sums([2, 3, 5])).toThrow(failure('ERR_SHAPE', /24 elements of a fixed shape for buffer train\/p/));
  });

  it('channels that do not divide a row, and rates of everything', () => {
    const normalize = (columns: number) =>
      open((builder) => {
        const [mean, variance] = [builder.fixed('mean', [5]), builder.fixed('variance', [5])];
        const [input, output] = [builder.batched('x', columns), builder.batched('y', columns)];
        builder.add({ op: 'batchNorm', input, mean, variance, gamma: null, beta: null, output, epsilon: 0.1 });
      });
    expect(normalize(15)).not.toThrow();
    expect(normalize(16)).toThrow(failure('ERR_SHAPE', /multiple of 5 columns for buffer train\/x of batchNorm/));
    const drop = (rate: number) =>
      open((builder) => {
        const [input, output] = [builder.batched('x', 3), builder.batched('y', 3)];
        builder.add({ op: 'dropout', ...DROPOUT, rate, input, output, epoch: builder.scalar('epoch', 1) });
      });
    expect(drop(0.99)).not.toThrow();
    expect(drop(1)).toThrow(failure('ERR_ARGUMENT', /below 1 for rate of dropout, received 1/));
  });
});
