import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { AS_NOBODY, IS_ROOT_ON_LINUX, mountDisk, openFolder, runWork, type WorkResult } from '../helpers/faults.js';
import { serve, smallDataset, startServer, writeFiles } from '../helpers/small-dataset.js';

/** Folders and files that may not be read or written: nothing changes, and the error says which and what to do. */
const DENIED = /: permission denied\. Choose another place or change the permissions\.$/;
const READ_ONLY = /: the disk is read-only\. Choose another place\.$/;
const small = smallDataset();
const [images] = small.files;
const under = AS_NOBODY;

function expectError({ code, error }: WorkResult, start: string, reason: RegExp): void {
  expect(error?.code).toBe('ERR_FILE');
  expect(error?.message.slice(0, start.length)).toBe(start);
  expect(error?.message).toMatch(reason);
  expect(code).toBe(1);
}

/** A folder for the cache, and a description of a data set that a server has. */
async function prepare() {
  const server = await startServer('Only', small.files, serve);
  const entry = join(openFolder(), 'entry.json');
  writeFileSync(entry, JSON.stringify(small.entry([server.source])));
  const root = openFolder();
  return { entry, root, folder: join(root, 'small'), requests: server.requests };
}

describe.runIf(process.platform !== 'win32')('the cache', () => {
  it('in a folder that may not be written', async () => {
    const { entry, root, folder } = await prepare();
    chmodSync(root, 0o555);
    const refused = await runWork(['download', root, entry], { under });
    expectError(refused, `Could not write ${join(folder, images.name)}`, DENIED);
    expect(refused.notices).toEqual([]);
    expect(readdirSync(root)).toEqual([]);
    chmodSync(root, 0o777);
    expect((await runWork(['download', root, entry], { under })).error).toBe(null);
    expect(readdirSync(folder)).toHaveLength(4);
  });

  it('that is complete needs no right to write', async () => {
    const { entry, root, folder, requests } = await prepare();
    writeFiles(folder, small.files);
    for (const path of [root, folder]) chmodSync(path, 0o555);
    expect(await runWork(['download', root, entry], { under })).toMatchObject({ error: null, notices: [] });
    expect(requests).toEqual([]);
    chmodSync(folder, 0o755);
  });

  it('with a damaged file in a folder that may not be written: says that it is damaged, and why it stays', async () => {
    const { entry, root, folder } = await prepare();
    writeFiles(folder, small.files);
    const path = join(folder, images.name);
    writeFileSync(path, 'damaged');
    chmodSync(folder, 0o555);
    const refused = await runWork(['download', root, entry], { under });
    expect(refused.notices).toEqual([`${path} is damaged and is replaced.`]);
    expectError(refused, `Could not write ${path}`, DENIED);
    expect(readFileSync(path, 'utf8')).toBe('damaged');
    chmodSync(folder, 0o777);
    expect((await runWork(['download', root, entry], { under })).error).toBe(null);
    expect(readFileSync(path).equals(images.raw)).toBe(true);
  });

  it('with a file that may not be read', async () => {
    const { entry, root, folder, requests } = await prepare();
    writeFiles(folder, small.files);
    const path = join(folder, images.name);
    chmodSync(path, 0);
    expectError(await runWork(['download', root, entry], { under }), `Could not read ${path}`, DENIED);
    expect(requests).toEqual([]);
    chmodSync(path, 0o644);
    expect((await runWork(['download', root, entry], { under })).error).toBe(null);
  });

  it('in a folder that may not be entered', async () => {
    const { entry, root, folder } = await prepare();
    writeFiles(folder, small.files);
    chmodSync(folder, 0);
    expectError(await runWork(['download', root, entry], { under }), `Could not read ${folder}`, DENIED);
    chmodSync(folder, 0o755);
  });

  it('whose place a file has, or one above it', async () => {
    const { entry, root, folder } = await prepare();
    writeFileSync(folder, 'a file');
    const refused = await runWork(['download', root, entry], { under });
    expectError(
      refused,
      `Could not write ${folder}: `,
      /something else of that name is there\. Choose another name\.$/,
    );
    const below = await runWork(['download', join(folder, 'deeper'), entry], { under });
    expectError(below, `Could not write ${join(folder, 'deeper')}`, /a part of the path is a file, not a folder/);
    expect(readFileSync(folder, 'utf8')).toBe('a file');
  });

  it('where a folder has the name of a file', async () => {
    const { entry, root, folder } = await prepare();
    mkdirSync(join(folder, images.name), { recursive: true });
    chmodSync(folder, 0o777);
    const refused = await runWork(['download', root, entry], { under });
    expectError(refused, `Could not write ${join(folder, images.name)}: `, /it is a folder/);
    expect(readdirSync(folder)).toEqual([images.name]);
  });

  it.runIf(IS_ROOT_ON_LINUX)('on a disk that was mounted for reading', async () => {
    const { entry } = await prepare();
    const disk = mountDisk(1024);
    disk.remount('ro');
    const refused = await runWork(['download', disk.folder, entry]);
    expectError(refused, `Could not write ${join(disk.folder, 'small', images.name)}`, READ_ONLY);
    disk.remount('rw');
    expect((await runWork(['download', disk.folder, entry])).error).toBe(null);
  });
});

describe.runIf(process.platform !== 'win32')('model.save', () => {
  it('into a folder that may not be written, directly or through a link', async () => {
    const folder = openFolder();
    const path = join(folder, 'model');
    const link = join(openFolder(), 'link');
    writeFileSync(path, 'old');
    symlinkSync(path, link);
    chmodSync(folder, 0o555);
    for (const name of [path, link]) {
      expectError(await runWork(['save', name, '1'], { under }), `Could not write ${name}`, DENIED);
    }
    expect(readdirSync(folder)).toEqual(['model']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('over a file that may not be written, in a folder that may: replaces it, and it stays so', async () => {
    const folder = openFolder();
    const path = join(folder, 'model');
    writeFileSync(path, 'old');
    chmodSync(path, 0o444);
    expect((await runWork(['save', path, '1'], { under })).error).toBe(null);
    expect(statSync(path).mode & 0o777).toBe(0o444);
    expect(statSync(path).size).toBeGreaterThan(400_000);
  });

  it.runIf(IS_ROOT_ON_LINUX)("over another user's file in a folder like /tmp", async () => {
    const folder = openFolder(0o1777);
    const path = join(folder, 'model');
    writeFileSync(path, 'old');
    expectError(await runWork(['save', path, '1'], { under }), `Could not write ${path}`, /does not permit it/);
    expect(readdirSync(folder)).toEqual(['model']);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it.runIf(IS_ROOT_ON_LINUX)('onto a disk that was mounted for reading', async () => {
    const disk = mountDisk(1024);
    const path = join(disk.folder, 'model');
    writeFileSync(path, 'old');
    disk.remount('ro');
    expectError(await runWork(['save', path, '1']), `Could not write ${path}`, READ_ONLY);
    expect(readFileSync(path, 'utf8')).toBe('old');
  });
});

describe.runIf(process.platform !== 'win32')('checkpoints and logs of a training', () => {
  it.each(['checkpoint', 'csv', 'jsonl', 'tensorboard', 'models'])('%s', async (what) => {
    const folder = openFolder(0o555);
    const path = join(folder, 'work');
    expectError(await runWork(['train', what, path], { under }), `Could not write ${path}`, DENIED);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.runIf(IS_ROOT_ON_LINUX).each(['checkpoint', 'csv'])('%s, on a disk that was mounted for reading', async (what) => {
    const disk = mountDisk(64);
    disk.remount('ro');
    const path = join(disk.folder, 'work', 'below');
    expectError(await runWork(['train', what, path]), `Could not write ${path}`, READ_ONLY);
  });
});
