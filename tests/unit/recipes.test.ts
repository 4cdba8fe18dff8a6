import { describe, expect, it } from 'vitest';
import { syntheticImages } from '../../src/cli/bench/data.js';
import { recipes } from '../../src/index.js';
import { RECIPE_NAMES } from '../../src/recipes/recipes.js';

/** Few, and one epoch of them: TypeScript takes a while over the larger networks. */
const images = syntheticImages(60);
const INPUT = { inputShape: [28, 28, 1], backend: 'js' } as const;

describe.each(RECIPE_NAMES)('recipe %s', (name) => {
  const recipe = recipes[name];

  it('says under its own name what it is for and what was measured', () => {
    expect(recipe.name).toBe(name);
    expect(recipe.summary).toMatch(/^\S.*[^.]$/);
    const { accuracy, trainSeconds, seeds, machine } = recipe.measured;
    expect(accuracy).toBeGreaterThan(0.9);
    expect(accuracy).toBeLessThan(1);
    expect(trainSeconds).toBeGreaterThan(0);
    expect(seeds).toBeGreaterThanOrEqual(10);
    expect(machine).toMatch(/cores/);
  });

  it('builds a compiled model with one output per class, from the seed', async () => {
    const weights = (seed: number) => {
      const model = recipe.build({ ...INPUT, classes: 3, seed });
      try {
        expect(model.predictSync(images.inputs.subarray(0, 784))).toHaveLength(3);
        return model.weightsSha256();
      } finally {
        model.dispose();
      }
    };
    expect(weights(1)).toBe(weights(1));
    expect(weights(1)).not.toBe(weights(2));
    expect(() => recipe.build({ ...INPUT, classes: 0 })).toThrow(/units/);
    const model = recipe.build(INPUT);
    const { loss } = await model.fit(images, { ...recipe.fit, epochs: 1 }).then(({ epochs }) => epochs.at(-1)!);
    expect(loss).toBeGreaterThan(0);
    expect(model.predictSync(images.inputs.subarray(0, 784))).toHaveLength(10);
    model.dispose();
  });
});
