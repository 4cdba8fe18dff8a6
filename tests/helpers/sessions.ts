import type { Session } from '../../src/backends/backend.js';
import { atOnce } from '../../src/pieces.js';
import type { BufferName } from '../../src/program/ops.js';

/** Overwrites a buffer and publishes the parameters. */
export function writeNow(session: Session, buffer: BufferName, values: Float32Array): void {
  atOnce(session.write(buffer, values));
  atOnce(session.publish());
}
