import { describe, expect, it } from 'vitest';
import { reliabilityDiagram } from '../../src/index.js';
import { calibration } from '../../src/report/calibration.js';
import { confusionTable } from '../../src/report/confusion.js';
import { curves } from '../../src/report/curves.js';
import { evaluationPage } from '../../src/report/evaluation-report.js';
import { firstWeights } from '../../src/report/first-weights.js';
import type { Measures, Mistake } from '../../src/report/measures.js';
import { mistakesOf } from '../../src/report/mistakes.js';

/** The data of the charts in some HTML. */
const chartsIn = (html: unknown) =>
  [...String(html).matchAll(/class="chart-data">(.*?)<\/script>/gs)].map(([, json]) => JSON.parse(json));

const SCORES = { precision: 0.5, recall: 0.5, f1: 0.5 };

function measuresOf(confusion: number[][], mistakes: Mistake[] = []): Measures {
  return {
    accuracy: 0.75,
    loss: 0.5,
    count: 4,
    top3Accuracy: 1,
    expectedCalibrationError: 0.25,
    perClass: confusion.map((_, label) => ({ label, count: 0, correct: 0, ...SCORES })),
    averages: { macro: SCORES, micro: SCORES, weighted: SCORES },
    confusion,
    reliability: reliabilityDiagram([0, 1], [1, 0, 0.25, 0.75]),
    mistakes,
  };
}

describe('the reliability diagram', () => {
  it('goes from corner to corner, with a point where answers are certain too', () => {
    // Confidences 1 (right), 0.75 (right) and 0.75 (wrong), in two bins of fifteen.
    const labels = [0, 1, 0];
    const probabilities = [1, 0, 0.25, 0.75, 0.25, 0.75];
    const reliability = reliabilityDiagram(labels, probabilities);
    const [diagram, counts] = chartsIn(calibration({ reliability, expectedCalibrationError: 1 / 6 }));
    expect(diagram.x.values).toEqual([0, 0.75, 1]);
    expect(diagram.series.map(({ values }: { values: unknown }) => values)).toEqual([
      [null, 0.5, 1],
      [0, 0.75, 1],
    ]);
    expect(counts.x.values).toHaveLength(15);
    expect(counts.series[0].values.filter((count: unknown) => count !== null)).toEqual([2, 1]);
    expect(String(calibration({ reliability, expectedCalibrationError: 1 / 6 }))).toContain(
      'farthest apart at a confidence of 75.00 %, where the accuracy is 50.00 %',
    );
  });
});

describe('the confusion matrix', () => {
  it('shades right and wrong answers by how many there are, and leaves zeros', () => {
    const cells = String(
      confusionTable(
        measuresOf([
          [50, 1, 0],
          [9, 5, 36],
          [0, 0, 0],
        ]),
        undefined,
      ),
    );
    expect([...cells.matchAll(/<td class="([\w-]+)">(\d+)</g)].map(([, shade, count]) => `${shade} ${count}`)).toEqual([
      ...['right-5 50', 'wrong-1 1', 'none 0'],
      ...['wrong-3 9', 'right-1 5', 'wrong-5 36'],
      ...['none 0', 'none 0', 'none 0'],
    ]);
  });
});

describe('the mistakes', () => {
  const mistake = (image: Mistake['image']): Mistake => ({
    index: 17,
    label: 3,
    answer: 1,
    probabilities: [0.1, 0.6, 0.2, 0.03, 0.07],
    image,
  });
  const confusion = [
    [1, 0],
    [2, 1],
  ];

  it('name the likeliest classes and the true one, and show the image where it is one', () => {
    const image = { height: 1, width: 2, pixels: [0, 255] };
    const names = ['a', '<b>', 'c', 'd', 'e'];
    const text = String(mistakesOf(measuresOf(confusion, [mistake(image), mistake(null)]), names));
    const shares = [...text.matchAll(/<span>(.*?)<\/span>.*?<span class="number">(.*?)<\/span>/gs)];
    expect(shares.map(([, name, share]) => [name, share]).slice(0, 4)).toEqual([
      ['&lt;b&gt;', '60.00 %'],
      ['c', '20.00 %'],
      ['a', '10.00 %'],
      ['d', '3.00 %'],
    ]);
    expect(text.match(/<img /g)).toHaveLength(1);
    expect(text).toMatch(/alt="Image 17 of the test set" width="8" height="4"/);
    expect(text).toContain('2 images got a wrong answer; here are all of them');
  });

  it('may be none', () => {
    expect(
      String(
        mistakesOf(
          measuresOf([
            [2, 0],
            [0, 2],
          ]),
          undefined,
        ),
      ),
    ).toBe('<p>There are none: every answer is right.</p>');
  });
});

describe('the curves', () => {
  const epoch = (number: number) => ({ epoch: number, loss: 1 / number, learningRate: 0.1, seconds: 1 });

  it('have only what there is, and say in words how they go', () => {
    const text = curves([epoch(1), epoch(2), epoch(4)], []);
    expect(chartsIn(text).map(({ series }) => series)).toEqual([
      [{ label: 'Training', values: [1, 0.5, 0.25], draw: 'line' }],
    ]);
    expect(String(text)).toContain(
      'Loss. Training: from 1.0000 at epoch 1 to 0.2500 at epoch 4; least 0.2500 at epoch 4, greatest 1.0000 at epoch 1.',
    );
  });

  it('of very many epochs are thinned from the first to the last, and say so', () => {
    const text = curves(
      Array.from({ length: 5000 }, (_, index) => epoch(index + 1)),
      [],
    );
    const [{ x }] = chartsIn(text);
    expect([x.values.length, x.values[0], x.values.at(-1)]).toEqual([300, 1, 5000]);
    expect(new Set(x.values).size).toBe(300);
    expect(String(text)).toContain('300 of 5,000 epochs are shown.');
  });
});

describe('the first weights', () => {
  it('say how many of how many there are', () => {
    const pictures = [[1, -1, 0, 0.5]];
    const some = String(firstWeights({ kind: 'neuron', count: 9, height: 2, width: 2, pictures }));
    expect(some).toContain('The first 1 of 9 neurons of the first layer as pictures of 2 by 2 weights.');
    expect(String(firstWeights({ kind: 'filter', count: 1, height: 2, width: 2, pictures }))).toContain(
      'The 1 filter of',
    );
  });
});

describe('a page', () => {
  it('has no section of weights where they are no pictures', () => {
    const origin = { settings: [], model: 'm', weightsSha256: '00', command: 'c', version: '1' };
    const parts = {
      network: 'n',
      dataset: 'd',
      classNames: undefined,
      measures: measuresOf([
        [1, 0],
        [1, 2],
      ]),
      origin,
    };
    const text = evaluationPage({ ...parts, weights: null });
    expect(text).not.toContain('id="weights"');
    const pictures = [[0]];
    const weights = { kind: 'filter' as const, count: 1, height: 1, width: 1, pictures };
    expect(evaluationPage({ ...parts, weights })).toContain('id="weights"');
  });
});
