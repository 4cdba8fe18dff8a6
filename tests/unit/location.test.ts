import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { codeFile, packageFile } from '../../src/location.js';

describe('files of the package', () => {
  it('are found from its top and from its code', () => {
    expect(JSON.parse(readFileSync(packageFile('package.json'), 'utf8')).name).toBe('mnist-train');
    for (const path of ['server/page/', 'report/page/report.css']) expect(existsSync(codeFile(path)), path).toBe(true);
    expect(codeFile('../package.json').href).toBe(packageFile('package.json').href);
  });

  it('are found from whatever depth a module is at, and missed with an error that says where', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mnist-train-location-'));
    try {
      const built = join(import.meta.dirname, '..', '..', 'build-ts');
      const place = (...path: string[]): Promise<typeof import('../../src/location.js')> => {
        const at = join(folder, ...path);
        mkdirSync(at, { recursive: true });
        for (const name of ['location.js', 'errors.js'])
          for (const file of [name, `${name}.map`]) cpSync(join(built, file), join(at, file));
        return import(pathToFileURL(join(at, 'location.js')).href);
      };
      const deep = await place('whole', 'dist', 'chunks', 'deeper');
      writeFileSync(join(folder, 'whole', 'package.json'), '{ "type": "module" }');
      expect(deep.codeFile('x.js').pathname).toMatch(/whole\/dist\/x\.js$/);
      expect(deep.packageFile('').pathname).toMatch(/whole\/$/);
      const lost = await place('lost', 'dist');
      expect(() => lost.codeFile('x.js')).toThrow(
        /Expected mnist-train's package\.json above .*location\.js, found none/,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
