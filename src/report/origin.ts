import { commandLine, definitions } from './elements.js';
import { html, type Markup } from './html.js';
import type { Section } from './page.js';

/** What was run, and how to run it again. */
export interface Origin {
  /** Terms and what they were: data set, optimizer, seed and the like. */
  settings: readonly (readonly [term: string, value: string])[];
  /** The model file, and the digest of its weights. */
  model: string;
  weightsSha256: string;
  /** What to type. */
  command: string;
  version: string;
}

export const settingsSection = ({ settings }: Origin): Section => ({
  id: 'settings',
  title: 'Settings',
  content: definitions(settings),
});

/** `remark`: what to know of the command. */
export const reproductionSection = ({ command, model, weightsSha256, version }: Origin, remark: string): Section => ({
  id: 'reproduce',
  title: 'Reproduce',
  content: html`${commandLine(command)}
<p>${remark}</p>
${definitions([
  ['Model file', model],
  ['SHA-256 of the weights', html`<span class="hash">${weightsSha256}</span>`],
  ['Program', `mnist-train ${version}`],
])}`,
});

export const footerOf = ({ version }: Origin): Markup =>
  html`Written by mnist-train ${version}. This page needs no other file and no network.`;
