import { createHash } from 'node:crypto';
import { endianness } from 'node:os';

/** SHA-256, in hexadecimal, of the little-endian float32 bytes of weights, one array behind the other. */
export function digestOfWeights(weights: readonly Float32Array[]): string {
  const hash = createHash('sha256');
  for (const values of weights) {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    hash.update(endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32());
  }
  return hash.digest('hex');
}
