import { createHash, randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Files on their way to a name: `<name>.<process>-<place><random>.part`, beside it. What a killed process leaves is told by
 * its number from what is being written; the place, 4 hexadecimal digits, says where that number means something, since a
 * folder may be shared by machines and containers.
 */
const PATTERN = /^(.+)\.(\d+)-([0-9a-f]{4})[0-9a-f]{8}\.part$/;
const PLACE = createHash('sha256').update(`${hostname()} ${processNamespace()}`).digest('hex').slice(0, 4);

/** Temporary files are written all the time: elsewhere, one untouched for so long belongs to a process that died. */
const STALE_MILLISECONDS = 60 * 60 * 1000;

/** A name beside `path` that no other process and no other call uses. */
export function temporaryName(path: string): string {
  return `${path}.${process.pid}-${PLACE}${randomBytes(4).toString('hex')}.part`;
}

/** Removes what killed processes left half-written of the files in a folder whose names are `wanted`. Never fails. */
export async function removeLeftovers(folder: string, wanted: (name: string) => boolean): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [])) {
    const [, name, owner, place] = PATTERN.exec(entry) ?? [];
    if (name === undefined || !wanted(name)) continue;
    const path = join(folder, entry);
    if (await isLeftover(path, Number(owner), place)) await rm(path, { force: true }).catch(() => undefined);
  }
}

/** Folders of processes among the system's temporary files. */
const FOLDER = /^mnist-train-(\d+)-([0-9a-f]{4})-\w{6}$/;

/** Makes a folder of this process among the system's temporary files, and removes those that killed ones left there. */
export async function makeTemporaryFolder(): Promise<string> {
  for (const entry of await readdir(tmpdir()).catch(() => [])) {
    const [, owner, place] = FOLDER.exec(entry) ?? [];
    if (place !== PLACE || Number(owner) === process.pid || isRunning(Number(owner))) continue;
    await rm(join(tmpdir(), entry), { recursive: true, force: true }).catch(() => undefined); // not ours to remove
  }
  return mkdtemp(join(tmpdir(), `mnist-train-${process.pid}-${PLACE}-`));
}

/** A process of this one's number may be another thread, or one that ended in a container, where numbers begin anew. */
async function isLeftover(path: string, owner: number, place: string): Promise<boolean> {
  if (place === PLACE && owner !== process.pid) return !isRunning(owner);
  const found = await stat(path).catch(() => undefined); // another process may have been quicker
  // In either direction: clocks are put back, too.
  return found !== undefined && Math.abs(Date.now() - found.mtimeMs) > STALE_MILLISECONDS;
}

/** Whether there is a process of that number. */
export function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What tells a container's processes from those of another one; only Linux has it. */
function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
