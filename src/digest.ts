import { createHash } from 'node:crypto';
import { PIECE_BYTES, type Pieces, spans } from './pieces.js';

/** The digest of some bytes, one part behind the other, in hexadecimal. */
export function* digestOf(algorithm: string, parts: readonly Uint8Array[]): Pieces<string> {
  const hash = createHash(algorithm);
  for (const bytes of parts) {
    for (const [begin, end] of spans(bytes.length, PIECE_BYTES)) {
      hash.update(bytes.subarray(begin, end));
      yield;
    }
  }
  return hash.digest('hex');
}
