import type { OpName } from '../../src/program/ops.js';
import { type Fill, normal, type OpSetupBuilder, positive, sparse, tiny } from './op-harness.js';

/** Cases of what is done to gradients, of the optimizers' rules and of averages; `add` is that of op-cases.ts. */
type AddCase = (op: OpName, options: string, rows: number, declare: (builder: OpSetupBuilder) => void) => void;

const SHAPES = [[1], [7], [16], [33], [17, 31], [64, 64], [128, 10], [3, 3, 2, 20]];

/** Slots of numbers that count, and of such as are about to be flushed, with gradients alike. */
const FILLS = [
  ['', sparse, normal, positive],
  [' fading slots', tiny, tiny, tiny],
] as const;

export function addUpdateCases(add: AddCase): void {
  for (const shape of SHAPES) {
    for (const [note, gradient, slot, square] of FILLS) {
      const title = (options: string) => `${options}${note} [${shape}]`;
      const buffers = (builder: OpSetupBuilder) => ({
        parameter: builder.persistent('parameter', 'parameter', shape, normal),
        gradient: builder.fixed('gradient', shape, gradient),
        slot: (name: string, fill: Fill = slot) => builder.persistent(name, 'slot', shape, fill),
      });
      addSgd(add, title, buffers);
      addAdam(add, title, buffers, square);
      addRmsprop(add, title, buffers, square);
      addAdagrad(add, title, buffers, square);
      addLion(add, title, buffers, note ? slot : sometimes);
    }
    addClipping(add, shape);
    addAverages(add, shape);
  }
}

type Title = (options: string) => string;
type Buffers = (builder: OpSetupBuilder) => {
  parameter: string;
  gradient: string;
  slot: (name: string, fill?: Fill) => string;
};

function addSgd(add: AddCase, title: Title, buffers: Buffers): void {
  for (const weightDecay of [0, 0.01]) {
    for (const [momentum, nesterov] of [
      [0, false],
      [0.9, false],
      [0.9, true],
    ] as const) {
      add('sgd', title(`momentum ${momentum}${nesterov ? ' nesterov' : ''} decay ${weightDecay}`), 1, (builder) => {
        const { parameter, gradient, slot } = buffers(builder);
        const velocity = momentum ? slot('velocity') : null;
        const learningRate = builder.scalar('learningRate', 0.05);
        builder.add({ op: 'sgd', parameter, gradient, velocity, learningRate, momentum, nesterov, weightDecay });
      });
    }
  }
}

function addAdam(add: AddCase, title: Title, buffers: Buffers, square: Fill): void {
  for (const [decay, weightDecay] of [
    [1, 0],
    [0.9999, 0],
    [1, 0.01],
  ]) {
    add('adam', title(`decay ${decay} weightDecay ${weightDecay}`), 1, (builder) => {
      const { parameter, gradient, slot } = buffers(builder);
      builder.add({
        op: 'adam',
        parameter,
        gradient,
        firstMoment: slot('firstMoment'),
        secondMoment: slot('secondMoment', square),
        ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay },
        stepSize: builder.scalar('stepSize', 0.01),
        correction: builder.scalar('correction', 31.6),
        decay: builder.scalar('decay', decay),
      });
    });
  }
}

function addRmsprop(add: AddCase, title: Title, buffers: Buffers, square: Fill): void {
  for (const [momentum, centered, weightDecay] of [
    [0, false, 0],
    [0, true, 0.01],
    [0.9, false, 0.01],
    [0.9, true, 0],
  ] as const) {
    const options = `momentum ${momentum}${centered ? ' centered' : ''} decay ${weightDecay}`;
    add('rmsprop', title(options), 1, (builder) => {
      const { parameter, gradient, slot } = buffers(builder);
      builder.add({
        op: 'rmsprop',
        parameter,
        gradient,
        meanSquare: slot('meanSquare', square),
        // Of normal numbers, so that many variances are negative.
        meanGradient: centered ? slot('meanGradient') : null,
        velocity: momentum ? slot('velocity') : null,
        learningRate: builder.scalar('learningRate', 0.01),
        ...{ alpha: 0.9, epsilon: 1e-8, momentum, weightDecay },
      });
    });
  }
}

function addAdagrad(add: AddCase, title: Title, buffers: Buffers, square: Fill): void {
  for (const weightDecay of [0, 0.01]) {
    add('adagrad', title(`decay ${weightDecay}`), 1, (builder) => {
      const { parameter, gradient, slot } = buffers(builder);
      const sumOfSquares = slot('sumOfSquares', square);
      const rate = builder.scalar('rate', 0.05);
      builder.add({ op: 'adagrad', parameter, gradient, sumOfSquares, rate, epsilon: 1e-10, weightDecay });
    });
  }
}

/** Some gradients are 0, and so are some momenta: then c has no sign. */
const sometimes: Fill = (stream) => (stream.uniform() < 0.3 ? 0 : normal(stream));

function addLion(add: AddCase, title: Title, buffers: Buffers, fill: Fill): void {
  for (const decayed of [1, 0.999]) {
    add('lion', title(`decay ${decayed}`), 1, (builder) => {
      const { parameter, gradient, slot } = buffers(builder);
      const momentum = slot('momentum', fill);
      const scalars = { learningRate: builder.scalar('learningRate', 0.01), decay: builder.scalar('decay', decayed) };
      builder.add({ op: 'lion', parameter, gradient, momentum, ...scalars, beta1: 0.9, beta2: 0.99 });
    });
  }
}

/** Infinite and missing numbers among normal ones. */
const wild: Fill = (stream) => {
  const edges = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5, -0.5];
  return stream.uniform() < 0.3 ? edges[stream.below(edges.length)] : normal(stream);
};

function addClipping(add: AddCase, shape: readonly number[]): void {
  for (const [note, fill] of [
    ['', normal],
    [' wild', wild],
  ] as const) {
    add('clipByValue', `0.5${note} [${shape}]`, 1, (builder) => {
      builder.add({ op: 'clipByValue', gradient: builder.fixed('gradient', shape, fill), limit: 0.5 });
    });
  }
  add('columnSquares', `[${shape}]`, 1, (builder) => {
    const gradient = builder.fixed('gradient', shape, normal);
    builder.add({ op: 'columnSquares', gradient, output: builder.fixed('output', [shape.at(-1)!]) });
  });
  for (const first of [true, false]) {
    add('addSquares', `${first ? 'first ' : ''}[${shape.at(-1)}]`, 1, (builder) => {
      const squares = builder.fixed('squares', [shape.at(-1)!], positive);
      builder.add({ op: 'addSquares', squares, total: builder.fixed('total', [1], positive), first });
    });
  }
  for (const total of [0, 0.2, 0.25, 4, 1e30, Number.POSITIVE_INFINITY, Number.NaN]) {
    add('clipByGlobalNorm', `0.5 of ${total} [${shape}]`, 1, (builder) => {
      const gradient = builder.fixed('gradient', shape, normal);
      builder.add({ op: 'clipByGlobalNorm', gradient, total: builder.fixed('total', [1], () => total), maxNorm: 0.5 });
    });
  }
}

function addAverages(add: AddCase, shape: readonly number[]): void {
  for (const rate of [0.01, 0.4999, 0.5, 0.75, 1]) {
    add('average', `rate ${rate} [${shape}]`, 1, (builder) => {
      const parameter = builder.persistent('parameter', 'parameter', shape, normal);
      const average = builder.persistent('average', 'parameter', shape, sparse);
      builder.add({ op: 'average', parameter, average, rate: builder.scalar('rate', rate) });
    });
  }
}
