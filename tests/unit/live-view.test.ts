import { EventEmitter } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { roundNumbers } from '../../src/cli/ui/axis.js';
import { type Confusion, confusionLine, confusionMap } from '../../src/cli/ui/confusion.js';
import { ConfusionWatch, imagesToWatch } from '../../src/cli/ui/confusion-watch.js';
import { Curve } from '../../src/cli/ui/curve.js';
import { LiveBlock, type ScreenSize } from '../../src/cli/ui/live-block.js';
import { LiveFrame, type LiveState } from '../../src/cli/ui/live-frame.js';
import { Ration } from '../../src/cli/ui/ration.js';
import { plainStyle, terminalStyle } from '../../src/cli/ui/style.js';
import { beside, cut, widthOf } from '../../src/cli/ui/text.js';
import { MnistTrainError } from '../../src/errors.js';
import { Screen } from '../helpers/screen.js';

describe('curves', () => {
  it('stay small, and keep their mean and their end', () => {
    const curve = new Curve();
    for (let i = 1; i <= 100_000; i++) curve.add(i / 1000, i);
    const points = curve.points(1e9);
    expect(points.length).toBeGreaterThan(500);
    expect(points.length).toBeLessThan(1024);
    expect(points.at(-1)![0]).toBe(100);
    expect(curve.points(1)).toEqual([[100, 50_000.5]]);
  });

  it('count stretches by their weight, and leave out what is not finite', () => {
    const curve = new Curve();
    expect([curve.points(5), curve.last]).toEqual([[], Number.NaN]);
    curve.add(1, 2, 3);
    curve.add(2, 6, 1);
    curve.add(3, Number.NaN);
    curve.add(3, Number.POSITIVE_INFINITY);
    expect(curve.points(1)).toEqual([[2, 3]]);
    expect(curve.last).toBe(6);
  });

  it('are divided from where training began', () => {
    const curve = new Curve();
    for (const x of [10.5, 11, 11.5, 12]) curve.add(x, x);
    expect(curve.points(2, 10)).toEqual([
      [11, 10.75],
      [12, 11.75],
    ]);
  });
});

it('axes have two to five round numbers', () => {
  expect(roundNumbers(0, 1)).toEqual([0, 0.5, 1]);
  expect(roundNumbers(0, 0.47).map((value) => value.toFixed(1))).toEqual(['0.0', '0.1', '0.2', '0.3', '0.4']);
  expect(roundNumbers(12.2, 13.1)).toEqual([12.2, 12.4, 12.6, 12.8, 13].map((value) => expect.closeTo(value, 9)));
  for (let top = 0.01; top < 1000; top *= 1.37) {
    expect(roundNumbers(0, top).length).toBeGreaterThanOrEqual(2);
    expect(roundNumbers(0, top).length).toBeLessThanOrEqual(5);
  }
});

describe('lines with colours', () => {
  const line = '\x1b[36mab\x1b[0mcd';

  it('are as wide as their characters, and are cut between them', () => {
    expect(widthOf(line)).toBe(4);
    expect(cut(line, 4)).toBe(line);
    expect(cut(line, 1)).toBe('\x1b[36ma\x1b[0m\x1b[0m');
    expect(cut('abc', 2)).toBe('ab');
  });

  it('stand side by side at fixed places', () => {
    expect(beside([[line], ['x', 'y']], 5, 2)).toEqual([`${line}   x`, '       y']);
  });
});

it('a ration waits as long as work took, many times over, but not for ever', () => {
  const ration = new Ration(1 / 100, { least: 100, most: 1000 });
  expect(ration.isDue(0)).toBe(true);
  ration.spent(0, 5);
  expect([ration.isDue(504), ration.isDue(505)]).toEqual([false, true]);
  ration.spent(1000, 1000.1);
  expect([ration.isDue(1100), ration.isDue(1100.2)]).toEqual([false, true]);
  ration.spent(2000, 2500);
  expect([ration.isDue(3499), ration.isDue(3500)]).toEqual([false, true]);
});

describe('confusions', () => {
  const confusion: Confusion = {
    counts: [
      [8, 0, 2],
      [0, 9, 1],
      [3, 0, 7],
    ],
    kind: 'validation',
    names: undefined,
  };

  it('in a line begin with the most frequent one, as far as there is room', () => {
    const whole = 'of 30 validation images 6 wrong: 2 taken for 0 (3), 0 for 2 (2), 1 for 2 (1)';
    expect(confusionLine(confusion, 200)).toBe(whole);
    expect(confusionLine(confusion, whole.length - 1)).toBe(whole.slice(0, whole.lastIndexOf(',')));
    expect(confusionLine(confusion, 10)).toBe('of 30 validation images 6 wrong');
    expect(confusionLine({ ...confusion, names: ['T-shirt', 'Bag', 'Shirt'] }, 85)).toContain(
      'Shirt taken for T-shirt (3), T-shirt for Shirt (2)',
    );
  });

  it('in a map have a class a row', () => {
    expect(confusionMap(confusion, plainStyle)?.lines).toEqual([
      'of 30 validation images: is \\ taken for',
      '    0  1  2',
      '0   8  ·  2',
      '1   ·  9  1',
      '2   3  ·  7',
    ]);
    const rich = confusionMap(confusion, terminalStyle)!.lines;
    expect(rich[2]).toContain('\x1b[32m  8\x1b[39m');
    const many = Array.from({ length: 11 }, () => new Array<number>(11).fill(0));
    expect(confusionMap({ ...confusion, counts: many }, plainStyle)).toBe(null);
  });
});

describe('the images that are watched', () => {
  const count = 5000;
  const train = {
    inputs: Uint8Array.from({ length: count * 4 }, (_, i) => (i >> 2) % 251),
    targets: Uint8Array.from({ length: count }, (_, i) => i % 7),
    count,
    shape: [2, 2, 1],
  };

  it('are those that validation keeps, evenly, or else of the training set', () => {
    const all = imagesToWatch(train, {});
    expect([all.kind, all.labels.length]).toEqual(['training', 1000]);
    expect([...all.inputs.subarray(4, 8)]).toEqual([5, 5, 5, 5]);
    const split = imagesToWatch(train, { validationSplit: 0.1 });
    expect([split.kind, split.labels.length, split.inputs.length]).toEqual(['validation', 500, 2000]);
    expect(split.inputs[0]).toBe(4500 % 251);
    expect(split.labels).toEqual(Array.from({ length: 500 }, (_, i) => (4500 + i) % 7));
    const validation = { ...train, inputs: train.inputs.slice(0, 40), targets: train.targets.slice(0, 10), count: 10 };
    expect(imagesToWatch(train, { validation })).toMatchObject({ kind: 'validation', inputs: validation.inputs });
  });

  it('are asked about once in so many images of training', async () => {
    let asked = 0;
    const predict = async () => {
      asked++;
      return Float32Array.from([1, 0, 0, 1, 1, 0]);
    };
    const images = { inputs: new Uint8Array(3), labels: [0, 1, 1], kind: 'training', names: undefined } as const;
    const watch = new ConfusionWatch(predict, () => images);
    watch.update(10);
    watch.update(20); // the answer is awaited
    await vi.waitFor(() => expect(watch.latest).not.toBe(null));
    expect(watch.latest?.counts).toEqual([
      [1, 0],
      [1, 1],
    ]);
    watch.update(10 + 3 * 33 - 1);
    expect(asked).toBe(1);
    await watch.end(true);
    expect(asked).toBe(2);
    watch.update(1e9);
    expect(asked).toBe(2);
  });

  it('are not asked about any more when that fails as training does', async () => {
    const predict = async (): Promise<Float32Array> => {
      throw new MnistTrainError('ERR_STATE', 'The model was disposed of.');
    };
    const images = { inputs: new Uint8Array(1), labels: [0], kind: 'training', names: undefined } as const;
    const watch = new ConfusionWatch(predict, () => images);
    watch.update(0);
    await watch.end(true);
    expect(watch.latest).toBe(null);
  });
});

describe('the frame', () => {
  function stateAt(position: number, epochs = 4): LiveState {
    const curves = () => ({ training: new Curve(), validation: new Curve() });
    const state: LiveState = {
      ...{ start: 0, position, epochs, confusion: null, done: position / epochs, text: 'epoch 1/4  0:10 left' },
      curves: { loss: curves(), accuracy: curves() },
    };
    for (let x = 0.05; x <= position + 1e-9; x += 0.05) {
      state.curves.loss.training.add(x, 2 / (1 + 4 * x));
      state.curves.accuracy.training.add(x, 1 - 0.8 / (1 + 4 * x));
    }
    return state;
  }
  const digits = Array.from({ length: 10 }, (_, i) => Array.from({ length: 10 }, (_, j) => (i === j ? 90 : 0)));
  const confusion: Confusion = { counts: digits, kind: 'training', names: undefined };
  const frame = () => new LiveFrame(plainStyle, false);

  it('shows curves, their last numbers and the bar', () => {
    const state = stateAt(4);
    state.curves.loss.validation.add(4, 0.25);
    const lines = frame().lines(state, { columns: 80, rows: 24 }, true);
    expect(lines[0]).toMatch(/^ {2}loss {2}━ 0\.118 {2}● 0\.25 +accuracy {2}━ training 95\.3%$/);
    expect(lines.join('\n')).toMatch(/[┓┗]/);
    expect(lines.join('\n')).toContain('●');
    expect(lines.at(-1)).toBe(`${'█'.repeat(40)}  epoch 1/4  0:10 left`);
    expect(lines.at(-3)).toMatch(/^ +1 +2 +3 +1 +2 +3$/);
  });

  it('grows: the axis doubles when the curve has come to its end', () => {
    const axisAt = (position: number) =>
      frame()
        .lines(stateAt(position), { columns: 80, rows: 24 }, true)
        .find((line) => line.includes('└'))!
        .indexOf('▶');
    expect(axisAt(0.9)).toBeGreaterThan(axisAt(0.7));
    expect(axisAt(1.1)).toBeLessThan(axisAt(0.9));
    expect(axisAt(4)).toBeGreaterThan(axisAt(2.5));
  });

  it.each([
    [60, 20],
    [80, 24],
    [100, 30],
    [112, 24],
    [200, 60],
  ])('fits %d x %d', (columns, rows) => {
    const lines = frame().lines({ ...stateAt(2), confusion }, { columns, rows }, true);
    expect(lines.length).toBeLessThanOrEqual(rows - 5);
    for (const line of lines) expect(widthOf(line)).toBeLessThan(columns);
    expect(lines.some((line) => line.includes('is \\ taken for'))).toBe(columns >= 112);
    expect(lines.some((line) => line.includes('0 wrong'))).toBe(columns < 112);
  });

  it('is the bar alone on a small screen', () => {
    for (const size of [
      { columns: 59, rows: 40 },
      { columns: 200, rows: 19 },
    ]) {
      expect(frame().lines(stateAt(2), size, true)).toHaveLength(1);
    }
  });

  it('draws the curves anew when it is told to, or when the screen has changed', () => {
    const one = frame();
    const size = { columns: 80, rows: 24 };
    const before = one.lines(stateAt(1), size, true);
    expect(one.lines(stateAt(2), size, false).slice(0, -2)).toEqual(before.slice(0, -2));
    expect(one.lines(stateAt(2), { columns: 90, rows: 24 }, false).slice(0, -2)).not.toEqual(before.slice(0, -2));
    expect(one.lines(stateAt(2), size, true).slice(0, -2)).not.toEqual(before.slice(0, -2));
  });

  it('names no more epochs than there is room for', () => {
    const state = stateAt(1, 40);
    const ticks = frame()
      .lines(state, { columns: 60, rows: 20 }, true)
      .find((line) => /^ +[\d. ]+$/.test(line))!;
    expect(ticks.trim().split(/\s+/).length).toBeGreaterThanOrEqual(2);
    for (const tick of ticks.trim().split(/\s+/)) expect(tick).toMatch(/^\d(\.\d)?$/);
  });

  it('says nothing of numbers that are not there', () => {
    const state = { ...stateAt(0), position: 0.01 };
    expect(frame().lines(state, { columns: 80, rows: 24 }, true).length).toBeGreaterThan(5);
    state.curves.loss.training.add(0.01, 2.3);
    state.curves.accuracy.training.add(0.01, 1);
    expect(frame().lines(state, { columns: 80, rows: 24 }, true).join('\n')).not.toContain('NaN');
  });
});

describe('lines that are drawn in place', () => {
  class Terminal extends EventEmitter {
    screen: Screen;
    writes = 0;
    constructor(
      public columns: number,
      public rows: number,
    ) {
      super();
      this.screen = new Screen(columns, rows);
    }
    write(text: string): boolean {
      this.writes++;
      this.screen.write(text.replaceAll('\n', '\r\n'));
      return true;
    }
  }
  const open = (columns: number, rows: number, draw: (size: ScreenSize) => readonly string[]) => {
    const terminal = new Terminal(columns, rows);
    // biome-ignore lint/suspicious/noExplicitAny: all of a terminal that is used.
    return { terminal, block: new LiveBlock(terminal as any, draw) };
  };

  it('replace what they were, and leave nothing over', () => {
    let lines = ['first', 'second long', 'third'];
    const { terminal, block } = open(20, 6, () => lines);
    terminal.write('text\n');
    block.show();
    expect(terminal.screen.text).toBe('text\nfirst\nsecond long\nthird');
    expect(terminal.screen.cursorShown).toBe(false);
    lines = ['1', '2'];
    const before = terminal.writes;
    block.show();
    expect(terminal.writes).toBe(before + 1);
    expect(terminal.screen.text).toBe('text\n1\n2');
    block.hide();
    terminal.write('more\n');
    block.show();
    expect(terminal.screen.text).toBe('text\nmore\n1\n2');
    block.stop();
    block.show();
    expect(terminal.screen.text).toBe('text\nmore');
    expect(terminal.screen.cursorShown).toBe(true);
    expect(terminal.screen.unknown).toEqual([]);
  });

  it('never take more than the screen, and are cut at its edge', () => {
    const { terminal, block } = open(10, 4, () => Array.from({ length: 9 }, (_, i) => `${i} ${'x'.repeat(30)}`));
    for (let i = 0; i < 5; i++) block.show();
    expect(terminal.screen.text).toBe('0 xxxxxxx\n1 xxxxxxx\n2 xxxxxxx');
    for (let i = 0; i < 5; i++) {
      block.hide();
      terminal.write(`said ${i}\n`);
      block.show();
    }
    block.stop();
    expect(terminal.screen.text).toBe('said 0\nsaid 1\nsaid 2\nsaid 3\nsaid 4');
  });

  it('follow a window that is resized, until they are stopped', () => {
    const { terminal, block } = open(40, 10, ({ columns, rows }) => [`${columns} x ${rows}`, 'x'.repeat(columns)]);
    block.show();
    // A terminal that breaks lines anew: what was one line of 39 are two of 20.
    Object.assign(terminal, { columns: 20, rows: 8, screen: new Screen(20, 8) });
    terminal.screen.write(`40 x 10\r\n${'x'.repeat(39)}\r`);
    terminal.screen.write('\x1b[1A');
    terminal.emit('resize');
    expect(terminal.screen.text).toBe(`20 x 8\n${'x'.repeat(19)}`);
    block.stop();
    const { writes } = terminal;
    terminal.emit('resize');
    expect(terminal.writes).toBe(writes);
    expect(terminal.listenerCount('resize')).toBe(0);
  });
});
