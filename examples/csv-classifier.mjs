// A classifier of one's own data: rows of numbers with a label in the last column.
//
//   node examples/csv-classifier.mjs [FILE.csv] [MODEL.safetensors]
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import { adam, classificationReport, dense, earlyStopping, loadModel, sequential } from 'mnist-train';

const [file = fileURLToPath(new URL('fruits.csv', import.meta.url)), modelFile = 'fruits.safetensors'] =
  process.argv.slice(2);

// 1. Read: one row a sample, all columns but the last are numbers.
const [header, ...rows] = parse(await readFile(file, 'utf8'), { skip_empty_lines: true, trim: true });
const features = header.length - 1;
const classNames = [...new Set(rows.map((row) => row[features]))].sort();

// 2. Set every fifth row aside: what the model is measured on must not be what it learned.
const trainRows = rows.filter((_, index) => index % 5 !== 4);
const testRows = rows.filter((_, index) => index % 5 === 4);

// 3. Standardise the columns by mean and deviation of the training rows: networks learn badly from numbers of unlike size.
const columns = Array.from({ length: features }, (_, column) => trainRows.map((row) => Number(row[column])));
const means = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
const deviations = columns.map((values, column) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - means[column]) ** 2, 0) / values.length),
);
const standardise = (row) => means.map((mean, column) => (Number(row[column]) - mean) / deviations[column]);
const samplesOf = (some) => ({
  inputs: Float32Array.from(some.flatMap(standardise)),
  targets: Uint8Array.from(some, (row) => classNames.indexOf(row[features])),
  classNames,
});

// 4. Train, and stop when the rows kept for validation get no better.
const model = sequential(
  [dense({ units: 16, activation: 'relu' }), dense({ units: classNames.length, activation: 'softmax' })],
  { inputShape: [features], seed: 1, classNames },
);
model.compile({ optimizer: adam({ learningRate: 0.01 }), loss: 'categoricalCrossentropy' });
const { epochs } = await model.fit(samplesOf(trainRows), {
  epochs: 200,
  batchSize: 16,
  validationSplit: 0.2,
  callbacks: [earlyStopping({ patience: 20, restoreBestWeights: true })],
});

// 5. Measure, save (with what new rows must be standardised by), load and use.
const test = samplesOf(testRows);
const report = classificationReport(test.targets, await model.predict(test));
console.log(`${epochs.length} epochs, accuracy ${(100 * report.accuracy).toFixed(1)} % on ${testRows.length} rows`);
await model.save(modelFile, { metadata: { standardisation: JSON.stringify({ means, deviations }) } });

const loaded = await loadModel(modelFile);
const [row] = testRows;
const probabilities = loaded.predictSync(standardise(row));
const best = probabilities.indexOf(Math.max(...probabilities));
console.log(
  `${row.slice(0, features).join(', ')}: ${loaded.classNames[best]}, ${(100 * probabilities[best]).toFixed(1)} %`,
);
