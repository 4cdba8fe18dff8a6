import type { Session } from '../backends/backend.js';
import { PIECE_BYTES, type Pieces, spans } from '../pieces.js';
import type { BufferName } from '../program/ops.js';
import type { BufferSpec, Program } from '../program/program.js';
import type { Capacities } from './lower.js';

/** A session as an engine holds it, and copies of what outlives its steps. */

export interface OpenSession {
  session: Session;
  program: Program;
  capacities: Capacities;
  /** Calls in flight. A retired session is disposed of when the last of them ends. */
  users: number;
  retired: boolean;
}

/** Whether a session opened for `had` can do what is needed. */
export function offers(had: Capacities, needed: Capacities): boolean {
  const sections = ['train', 'evaluate'] as const;
  return sections.every((name) => {
    const type = needed.targets?.[name];
    return needed[name] <= had[name] && (type === undefined || type === had.targets?.[name]);
  });
}

/** Parameters and slots by the names of their buffers. */
export type Snapshot = ReadonlyMap<BufferName, Float32Array>;

export const persists = ({ role }: BufferSpec): boolean => role === 'parameter' || role === 'slot';

/** What outlives steps. */
export const namesOf = ({ program }: OpenSession): BufferName[] =>
  program.buffers.filter(persists).map(({ name }) => name);

export function* readAll(session: Session, names: readonly BufferName[]): Pieces<Snapshot> {
  const snapshot = new Map<BufferName, Float32Array>();
  for (const name of names) snapshot.set(name, yield* session.read(name));
  return snapshot;
}

export function* writeAll(session: Session, snapshot: Snapshot): Pieces<void> {
  for (const [name, values] of snapshot) yield* session.write(name, values);
  yield* session.publish();
}

export function* copyAll(snapshot: Snapshot): Pieces<Snapshot> {
  const copies = new Map<BufferName, Float32Array>();
  for (const [name, values] of snapshot) {
    const copy = new Float32Array(values.length);
    for (const [begin, end] of spans(values.length, PIECE_BYTES / 4)) {
      copy.set(values.subarray(begin, end), begin);
      yield;
    }
    copies.set(name, copy);
  }
  return copies;
}
