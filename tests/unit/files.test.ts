import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeFolder, writeFileAtomic } from '../../src/files.js';
import { removeLeftovers, temporaryName } from '../../src/temporary-files.js';
import { temporaryFolder } from '../helpers/small-dataset.js';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('writeFileAtomic', () => {
  it('writes a new file and leaves nothing else', async () => {
    const folder = temporaryFolder();
    await writeFileAtomic(join(folder, 'model'), bytes('new'));
    expect(readFileSync(join(folder, 'model'), 'utf8')).toBe('new');
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('replaces a file without writing into the old one, and keeps its permissions', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    writeFileSync(path, 'the old content');
    chmodSync(path, 0o600);
    const reader = await open(path, constants.O_RDONLY);
    await writeFileAtomic(path, bytes('new'));
    expect(await reader.readFile('utf8')).toBe('the old content');
    await reader.close();
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(path).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600);
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('lets one of several writers at once win whole', async () => {
    const folder = temporaryFolder();
    const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
    await Promise.all(texts.map((text) => writeFileAtomic(join(folder, 'model'), bytes(text))));
    expect(texts).toContain(readFileSync(join(folder, 'model'), 'utf8'));
    expect(readdirSync(folder)).toEqual(['model']);
  });

  it('writes through symbolic links, also to a file that is not there yet', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'real'));
    symlinkSync(join('real', 'model'), join(folder, 'link'));
    for (const text of ['first', 'second']) {
      await writeFileAtomic(join(folder, 'link'), bytes(text));
      expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
      expect(readFileSync(join(folder, 'real', 'model'), 'utf8')).toBe(text);
    }
    expect(readdirSync(folder).sort()).toEqual(['link', 'real']);
    expect(readdirSync(join(folder, 'real'))).toEqual(['model']);
  });

  it('refuses links that go in a circle', async () => {
    const folder = temporaryFolder();
    symlinkSync('b', join(folder, 'a'));
    symlinkSync('a', join(folder, 'b'));
    await expect(writeFileAtomic(join(folder, 'a'), bytes('x'))).rejects.toThrow(/go in a circle/);
  });

  it('writes into a pipe instead of replacing it', async () => {
    const pipe = join(temporaryFolder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    await writeFileAtomic(pipe, bytes('through'));
    const { buffer, bytesRead } = await reader.read(Buffer.alloc(20));
    await reader.close();
    expect(buffer.toString('utf8', 0, bytesRead)).toBe('through');
    expect(statSync(pipe).isFIFO()).toBe(true);
  });

  it('says what is wrong with a folder that is missing or a name that is a folder, and leaves nothing', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'sub'));
    const missing = join(folder, 'none', 'model');
    await expect(writeFileAtomic(missing, bytes('x'))).rejects.toThrow(
      `Could not write ${missing}: its folder does not exist.`,
    );
    await expect(writeFileAtomic(missing, bytes('x'))).rejects.toMatchObject({ code: 'ERR_FILE' });
    await expect(writeFileAtomic(join(folder, 'sub'), bytes('x'))).rejects.toThrow(/it is a folder/);
    writeFileSync(join(folder, 'file'), '');
    await expect(writeFileAtomic(join(folder, 'file', 'model'), bytes('x'))).rejects.toMatchObject({
      code: 'ERR_FILE',
    });
    expect(readdirSync(folder).sort()).toEqual(['file', 'sub']);
  });

  it('removes the temporary file and keeps the old one when writing fails half-way', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    writeFileSync(path, 'the old content');
    await expect(writeFileAtomic(path, {} as Uint8Array)).rejects.toMatchObject({ code: 'ERR_FILE' });
    expect(readFileSync(path, 'utf8')).toBe('the old content');
    expect(readdirSync(folder)).toEqual(['model']);
  });
});

describe('makeFolder', () => {
  it('makes folders above, also when several make them at once, and takes those that are there', async () => {
    const folder = join(temporaryFolder(), 'a', 'b', 'c');
    await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(join(folder, '..', 'd'))]);
    await makeFolder(folder);
    expect(readdirSync(join(folder, '..')).sort()).toEqual(['c', 'd']);
  });

  it('refuses where a file or a link that leads nowhere has the name', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'file'), '');
    symlinkSync('nowhere', join(folder, 'link'));
    await expect(makeFolder(join(folder, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(makeFolder(join(folder, 'file', 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(makeFolder(join(folder, 'link'))).rejects.toMatchObject({ code: 'EEXIST' });
  });
});

describe('temporary files', () => {
  /** As `temporaryName` of another process on this machine. */
  const nameOf = (path: string, pid: number) => temporaryName(path).replace(`.${process.pid}-`, `.${pid}-`);
  const ended = spawnSync('true').pid;

  it('are removed when their process is gone, and nothing else is', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'log.csv');
    const kept = [
      'log.csv',
      'log.csv.part',
      `log.csv.${ended}-2.part`,
      basename(nameOf(join(folder, 'my.log.csv'), ended)),
      basename(nameOf(join(folder, 'log.csvs'), ended)),
      basename(nameOf(path, process.ppid)),
      basename(temporaryName(path)), // of this process: another call is writing it
      `log.csv.${ended}-${'0'.repeat(12)}.part`, // of another machine
    ];
    for (const name of kept) writeFileSync(join(folder, name), '');
    for (let count = 0; count < 3; count++) writeFileSync(nameOf(path, ended), '');
    await removeLeftovers(folder, (name) => name === 'log.csv');
    expect(readdirSync(folder).sort()).toEqual(kept.sort());
    await removeLeftovers(join(folder, 'no folder'), () => true);
  });

  it.each([-1, 1])('of other machines are removed when the clock is more than an hour away (%i)', async (sign) => {
    const folder = temporaryFolder();
    const now = Date.now() / 1000;
    for (const minutes of [59, 61]) {
      const path = join(folder, `model.1-00000000${String(minutes).padStart(4, '0')}.part`);
      writeFileSync(path, '');
      utimesSync(path, now + sign * minutes * 60, now + sign * minutes * 60);
    }
    await removeLeftovers(folder, (name) => name === 'model');
    expect(readdirSync(folder)).toEqual(['model.1-000000000059.part']);
  });

  it('go before their file is written anew', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    writeFileSync(nameOf(path, ended), 'half');
    await writeFileAtomic(path, bytes('new'));
    expect(readdirSync(folder)).toEqual(['model']);
  });
});
