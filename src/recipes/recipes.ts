import { accurate } from './accurate.js';
import { balanced } from './balanced.js';
import { cnn } from './cnn.js';
import { fast } from './fast.js';
import type { Recipe } from './recipe.js';

/** Every recipe by its name. */
export const recipes = Object.freeze({ fast, cnn, balanced, accurate }) satisfies Readonly<Record<string, Recipe>>;

export type RecipeName = keyof typeof recipes;
export const RECIPE_NAMES = Object.keys(recipes) as RecipeName[];
