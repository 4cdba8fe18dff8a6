import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

interface Locked {
  version: string;
  license?: string;
  dev?: boolean;
  engines?: { node?: string };
  hasInstallScript?: boolean;
}

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, Locked>;
};
const all = Object.entries(packages).filter(([path]) => path !== '');
/** What npm installs for users. */
const installed = all.filter(([, { dev }]) => !dev);

/** Licences under which a program may be used and passed on with a notice, in SPDX's words. */
const PERMISSIVE = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'ISC',
  'MIT',
  'Python-2.0',
  'Unlicense',
];
/** For tools, which nobody gets from us: data and texts too. */
const FOR_TOOLS = [...PERMISSIVE, 'CC-BY-4.0', 'CC0-1.0', 'MPL-2.0', 'Zlib'];

/** Whether one of the licences that a package lets one choose from, or all that it asks for, are among those. */
const isAllowed = (license: string | undefined, allowed: readonly string[]): boolean =>
  (license ?? '')
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((one) => allowed.includes(one)));

describe('what is installed with the package', () => {
  it('has a licence that everybody can keep to', () => {
    expect(isAllowed('(MIT OR GPL-3.0)', PERMISSIVE)).toBe(true);
    expect(isAllowed('MIT AND GPL-3.0', PERMISSIVE)).toBe(false);
    expect(isAllowed(undefined, PERMISSIVE)).toBe(false);
    const others = installed.filter(([, { license }]) => !isAllowed(license, PERMISSIVE));
    expect(others.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
  });

  it('runs no scripts on installing', () => {
    expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([]);
  });

  it('is meant for the oldest Node.js that the package is', () => {
    const needsMore = installed.filter(([, { engines }]) => {
      // ">=22", "^22 || >=24": no alternative begins at 20 or below.
      const alternatives = (engines?.node ?? '*').split('||');
      return alternatives.every((one) => Number(/\d+/.exec(one)?.[0] ?? 0) > 20);
    });
    expect(needsMore.map(([path, { engines }]) => `${path}: ${engines?.node}`)).toEqual([]);
  });

  it('is few packages', () => {
    expect(installed.length).toBeGreaterThan(20);
    expect(installed.length).toBeLessThanOrEqual(75);
  });
});

it('tools have licences that allow to use them', () => {
  const others = all.filter(([, { license }]) => !isAllowed(license, FOR_TOOLS));
  expect(others.map(([path, { license }]) => `${path}: ${license}`)).toEqual([]);
});
