/** What `explain` says of a sample: the engine's own numbers, and sums that add up. */
import { describe, expect, it } from 'vitest';
import {
  activation,
  dense,
  type Explanation,
  explain,
  globalAveragePooling2d,
  type Layer,
  type Sequential,
  sequential,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { errorsThrough } from '../helpers/reference-errors.js';
import { buildNetwork, NETWORKS, normals } from '../helpers/reference-models.js';
import { failure, backend as js } from '../helpers/toy.js';

const sampleOf = (name: string, seed = 99) =>
  normals(
    NETWORKS[name].inputShape.reduce((a, b) => a * b, 1),
    seed,
  );
const sumOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const totalOf = ({ pixels, rest }: Explanation['contributions']['answer']) =>
  sumOf(pixels) + sumOf(rest.map(({ contribution }) => contribution));

/** Networks that are linear around every input, and others. */
const LINEAR = ['a rectifier of dense layers', 'convolutions and pools'];

describe.each(Object.keys(NETWORKS))('explain of %s', (name) => {
  it.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
    'has logits that the contributions add up to, with $title',
    async ({ backend }) => {
      const { model, stack, weights } = buildNetwork(name, backend);
      const sample = sampleOf(name);
      const { contributions, classes, answer, rival } = await explain(model, sample);
      const { answer: ofLogit, lead } = contributions;
      expect(ofLogit.logit).toBe(classes[answer].logit);
      expect(lead.logit).toBe(classes[answer].logit - classes[rival].logit);
      for (const each of [ofLogit, lead]) {
        expect(each.rounding).toBe(each.logit - totalOf(each));
        if (each.roundingBound !== null) expect(Math.abs(each.rounding)).toBeLessThanOrEqual(each.roundingBound);
      }
      // A second bound, made by carrying errors through the layers.
      const last = stack.layers.at(-1)!;
      const { type, config } = last.layer;
      const linear =
        type === 'softmax' ? [] : [{ ...last, layer: { ...last.layer, config: { ...config, activation: 'linear' } } }];
      const { errors } = errorsThrough([...stack.layers.slice(0, -1), ...linear], weights, Float64Array.from(sample));
      expect(Math.abs(ofLogit.rounding)).toBeLessThanOrEqual(errors[answer]);
      expect(errors[answer]).toBeLessThan(1e-3);
      model.dispose();
    },
  );

  it('shows the numbers of the engine to the bit', async () => {
    const { model } = buildNetwork(name, js);
    const sample = sampleOf(name, 5);
    const { layers, classes } = await explain(model, sample, { neurons: 1000 });
    expect(Float32Array.from(classes, ({ probability }) => probability)).toEqual(model.predictSync(sample));
    const outputs = model.activations(sample);
    expect(layers.map(({ name: title }) => title)).toEqual(outputs.map((each) => each.name));
    layers.forEach(({ neurons, off, least, greatest, shape, type }, layer) => {
      const { values } = outputs[layer];
      expect(shape).toEqual(outputs[layer].shape);
      expect(off).toBe(values.filter((value) => value === 0).length);
      expect([least, greatest]).toEqual([Math.min(...values), Math.max(...values)]);
      if (type === 'flatten' || type === 'dropout') {
        expect(neurons).toEqual([]);
        return;
      }
      const channels = shape.at(-1)!;
      expect(neurons.map(({ unit }) => unit).sort((a, b) => a - b)).toEqual(
        Array.from({ length: channels }, (_, i) => i),
      );
      for (const { unit, place, activation: shown } of neurons) {
        const own = values.filter((_, i) => i % channels === unit);
        const at = place ? place.row * shape[1] + place.column : 0;
        expect(own[at]).toBe(shown);
        expect(Math.abs(shown)).toBe(Math.max(...own.map(Math.abs)));
      }
      const sizes = neurons.map((neuron) => Math.abs(neuron.activation));
      expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    });
    model.dispose();
  });

  it('leaves the model as it was', async () => {
    const { model } = buildNetwork(name, js);
    const sha256 = model.weightsSha256();
    const before = model.predictSync(sampleOf(name));
    await explain(model, sampleOf(name), { optimizer: 'adam', learningRate: 0.1 });
    expect(model.weightsSha256()).toBe(sha256);
    expect(model.predictSync(sampleOf(name))).toEqual(before);
    expect(model.optimizer).toBeNull();
    model.dispose();
  });
});

describe('contributions', () => {
  it.each(LINEAR)('of %s leave nothing but biases and rounding', async (name) => {
    const { model } = buildNetwork(name, js);
    const { answer } = (await explain(model, sampleOf(name))).contributions;
    expect(new Set(answer.rest.map(({ of }) => of))).toEqual(new Set(['biases']));
    expect(Math.abs(answer.rounding)).toBeLessThan(1e-5);
    expect(answer.roundingBound).toBeLessThan(1e-3);
  });

  it('have a bound that the worst roundings come near', async () => {
    // 1 + 2^-25 is rounded to 1, a thousand times: float32 loses half of what u = 2^-24 allows.
    const model = sequential([dense({ units: 2, activation: 'softmax' })], { inputShape: [1001], backend: js });
    const weights = Float32Array.from({ length: 2002 }, (_, i) => (i % 2 === 1 ? 0 : i === 0 ? 1 : 2 ** -25));
    model.setWeights([weights, new Float32Array(2)]);
    const { rounding, roundingBound } = (await explain(model, new Float32Array(1001).fill(1))).contributions.answer;
    expect(rounding).toBe(-1000 * 2 ** -25);
    expect(Math.abs(rounding) / roundingBound!).toBeGreaterThan(0.49);
    expect(Math.abs(rounding)).toBeLessThanOrEqual(roundingBound!);
  });

  it('name shifts and bends where they come from', async () => {
    const { model } = buildNetwork('batch normalization and residuals', js);
    const { rest } = (await explain(model, sampleOf('batch normalization and residuals'))).contributions.answer;
    expect(rest.map(({ layer, of }) => `${layer} ${of}`)).toEqual([
      '2 shift',
      '4 biases',
      '5 curvature',
      '7 shift',
      '8 biases',
    ]);
    const curved = buildNetwork('dense layers of every activation', js);
    const { answer } = (await explain(curved.model, sampleOf('dense layers of every activation'))).contributions;
    expect(answer.rest.filter(({ of }) => of === 'curvature').map(({ layer }) => layer)).toEqual([2, 3, 4, 5]);
    // A softmax in the middle has no bound.
    expect(answer.roundingBound).toBeNull();
  });

  it('are weights times pixels where the model is one dense layer', async () => {
    const model = sequential([dense({ units: 3, activation: 'softmax' })], {
      inputShape: [2, 2, 1],
      seed: 3,
      backend: js,
    });
    const [weights] = model.getWeights();
    model.setWeights([weights, Float32Array.of(0.25, -0.5, 0.125)]);
    const pixels = Uint8Array.of(0, 51, 255, 102);
    const { contributions, answer, input, layers } = await explain(model, pixels);
    expect(input.values).toEqual([...pixels].map((value) => Math.fround(value / 255)));
    expect(contributions.answer.method).toBe('weights');
    const wanted = input.values.map((value, i) => value * weights[3 * i + answer]);
    expect(contributions.answer.pixels).toEqual(wanted);
    expect(contributions.answer.rest).toEqual([{ layer: 0, of: 'biases', contribution: [0.25, -0.5, 0.125][answer] }]);
    const own = layers[0].neurons.find(({ unit }) => unit === answer)!;
    expect(own.pixels).toEqual(wanted);
    // Σ weight × pixel + bias, but for the roundings of five operations in float32.
    const magnitude = sumOf(wanted.map(Math.abs)) + Math.abs(own.bias!);
    expect(Math.abs(sumOf(wanted) + own.bias! - own.weightedSum!)).toBeLessThanOrEqual(5 * 2 ** -24 * magnitude);
  });

  it('weigh the answer against the label where that is another class', async () => {
    const { model } = buildNetwork('a rectifier of dense layers', js);
    const sample = sampleOf('a rectifier of dense layers');
    const { answer, rival, label, classes } = await explain(model, sample);
    const order = [...classes].sort((a, b) => b.logit - a.logit).map((each) => each.label);
    expect([answer, rival, label]).toEqual([order[0], order[1], order[0]]);
    const taught = await explain(model, sample, { label: order[2] });
    expect([taught.answer, taught.rival, taught.label]).toEqual([order[0], order[2], order[2]]);
  });
});

describe('neurons', () => {
  const model = () =>
    sequential(
      [
        dense({ units: 4, activation: 'relu' }),
        dense({ units: 3, activation: 'tanh' }),
        dense({ units: 2 }),
        activation({ activation: 'softmax' }),
      ],
      { inputShape: [3], seed: 8, backend: js },
    );

  it('have sums that their inputs, weights and biases give', async () => {
    const own = model();
    const weights = own.getWeights().map((values, k) => (k % 2 === 0 ? values : values.map((_, i) => 0.1 * (i + 1))));
    own.setWeights(weights);
    const sample = Float32Array.of(0.5, -1, 2);
    const { layers } = await explain(own, sample, { neurons: 9 });
    const [first, second] = own.activations(sample).map(({ values }) => values);
    for (const { unit, weightedSum, bias, activation: shown } of layers[1].neurons) {
      expect(bias).toBe(weights[3][unit]);
      const products = first.map((value, i) => value * weights[2][i * 3 + unit]);
      expect(weightedSum).toBeCloseTo(products.reduce((a, b) => a + b, 0) + bias!, 6);
      expect(shown).toBe(second[unit]);
      expect(Math.tanh(weightedSum!)).toBeCloseTo(shown, 6);
    }
    for (const { weightedSum, activation: shown } of layers[0].neurons) expect(shown).toBe(Math.max(0, weightedSum!));
  });

  it('say what they do for the next dense layer, the most first', async () => {
    const own = model();
    const weights = own.getWeights();
    const { layers } = await explain(own, Float32Array.of(0.5, -1, 2));
    for (const { unit, activation: shown, feeds } of layers[0].neurons) {
      const all = Array.from({ length: 3 }, (_, next) => ({ unit: next, weight: weights[2][unit * 3 + next] }));
      const wanted = all.map((each) => ({ ...each, contribution: shown * each.weight }));
      expect(feeds).toEqual(wanted.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)));
    }
    // Behind the last dense layer there is none.
    expect(layers[2].neurons[0]).not.toHaveProperty('feeds');
  });

  it('are at most as many as asked for', async () => {
    const { layers, step } = await explain(model(), [1, 2, 3], { neurons: 2 });
    expect(layers.map(({ neurons }) => neurons.length)).toEqual([2, 2, 2, 2]);
    expect(step.parameters.map(({ largest }) => largest.length)).toEqual([2, 2, 2, 2, 2, 2]);
  });
});

it('is plain data, that JSON carries as it is', async () => {
  const { model } = buildNetwork('batch normalization and residuals', js);
  const explanation = await explain(model, sampleOf('batch normalization and residuals'));
  const withoutSigns = JSON.parse(JSON.stringify(explanation));
  expect(JSON.parse(JSON.stringify(withoutSigns))).toEqual(withoutSigns);
  expect(withoutSigns.contributions.answer.logit).toBe(explanation.contributions.answer.logit);
  expect(withoutSigns.step).toEqual(explanation.step);
});

describe('explain refuses', () => {
  const make = (layers: Layer[], inputShape = [2, 2, 1]): Sequential => sequential(layers, { inputShape, backend: js });
  const softmaxModel = () => make([dense({ units: 3, activation: 'softmax' })]);
  const PIXELS = Uint8Array.of(1, 2, 3, 4);

  it('models that give no probabilities of classes', async () => {
    const outputs = failure('ERR_ARGUMENT', /Expected softmax for the activation of the last layer, received "linear"/);
    await expect(explain(make([dense({ units: 3 })]), PIXELS)).rejects.toThrow(outputs);
    const one = failure('ERR_ARGUMENT', /Expected at least 2 for the classes of a model to explain, received 1/);
    await expect(explain(make([dense({ units: 1, activation: 'softmax' })]), PIXELS)).rejects.toThrow(one);
    const images = make([
      globalAveragePooling2d(),
      activation({ activation: 'sigmoid' }),
      dense({ units: 2, activation: 'sigmoid' }),
    ]);
    await expect(explain(images, PIXELS)).rejects.toThrow(failure('ERR_ARGUMENT', /received "sigmoid"/));
  });

  it('anything but one sample of finite numbers', async () => {
    const shape = failure(
      'ERR_SHAPE',
      /Expected one sample of \[2, 2, 1\], 4 numbers, for sample, received Uint8Array of 8/,
    );
    await expect(explain(softmaxModel(), new Uint8Array(8))).rejects.toThrow(shape);
    await expect(explain(softmaxModel(), new Uint8Array(3))).rejects.toThrow(failure('ERR_SHAPE', /multiple of 4/));
    const text = 'abcd' as unknown as Uint8Array;
    await expect(explain(softmaxModel(), text)).rejects.toThrow(failure('ERR_ARGUMENT', /for sample, received "abcd"/));
    const wrong = failure('ERR_DATA', /Expected a finite number for sample\[2\] .*, received NaN/);
    await expect(explain(softmaxModel(), [1, 2, Number.NaN, 4])).rejects.toThrow(wrong);
  });

  it('options out of range', async () => {
    const refused = async (options: object, message: RegExp) =>
      expect(explain(softmaxModel(), PIXELS, options)).rejects.toThrow(failure('ERR_ARGUMENT', message));
    await refused({ label: 3 }, /Expected a whole number from 0 to 2 for label, received 3/);
    await refused({ label: 1.5 }, /for label, received 1.5/);
    await refused({ neurons: 0 }, /Expected a whole number of at least 1 for neurons/);
    await refused({ learningRate: -1 }, /Expected a finite number from 0 for learningRate/);
    await refused({ optimizer: 'newton' }, /Expected one of sgd, .* for the|for optimizer/);
    await refused({ Label: 1 }, /Did you mean "label"/);
  });

  it('to go on after its signal, and to use a model that was disposed of', async () => {
    const signal = AbortSignal.abort('enough');
    await expect(explain(softmaxModel(), PIXELS, { signal })).rejects.toThrow(
      failure('ERR_ABORTED', /The explanation was aborted/),
    );
    const model = softmaxModel();
    model.dispose();
    await expect(explain(model, PIXELS)).rejects.toThrow(failure('ERR_STATE', /disposed/));
  });
});
