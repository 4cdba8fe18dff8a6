import { sequential } from '../index.js';
import { fieldsOf } from '../program/op-fields.js';
import { planMemory } from '../program/plan.js';
import type { Program } from '../program/program.js';
import { DEFAULTS, layersOf, optimizerOf } from './model.js';
import type { Output } from './output.js';
import { programListing } from './ui/program-listing.js';

/** Lowers the model that `train` makes without options, and shows the program. */
export function listDefaultProgram(output: Output): void {
  const layers = layersOf(DEFAULTS.hidden, DEFAULTS.activation, 10);
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: DEFAULTS.seed });
  const { optimizer, schedule, epochs } = DEFAULTS;
  const learningRate = DEFAULTS.learningRate[optimizer];
  model.compile({
    optimizer: optimizerOf({ optimizer, schedule, epochs, learningRate }),
    loss: 'categoricalCrossentropy',
  });
  const program = model.program({ batchSize: DEFAULTS.batchSize });
  const plan = planMemory(program);
  operationEvents(output, program);
  output.event({ event: 'memory', regions: plan.sizes });
  output.say(`\n${programListing(program, plan)}`);
}

function operationEvents(output: Output, program: Program): void {
  for (const [section, { ops }] of Object.entries(program.sections)) {
    ops.forEach((op, step) => {
      const fields = Object.fromEntries(fieldsOf(op).map(({ name, value }) => [name, value]));
      output.event({ event: 'operation', section, step, op: op.op, fields });
    });
  }
}
