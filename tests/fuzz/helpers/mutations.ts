import fc from 'fast-check';

/** Bytes that failures show in base64, ready for the corpus. */
class Input {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  [fc.toStringMethod](): string {
    return `base64 ${JSON.stringify(Buffer.from(this.bytes).toString('base64'))}`;
  }
}

interface MutationOptions {
  /** Words of the format that are put in anywhere. */
  words?: readonly string[];
  /** Brings checksums into order, so that what lies behind them is reached; done with every second input. */
  repair?: (bytes: Buffer) => Buffer;
}

/** Valid files with up to six mistakes in them; now and then as they are. */
export function mutated(seeds: readonly Uint8Array[], { words = [], repair }: MutationOptions = {}) {
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(mutation(words), { maxLength: 6 }), fc.boolean())
    .map(([seed, mutations, repaired]) => {
      const changed = mutations.reduce<Buffer>((bytes, mutate) => mutate(bytes), Buffer.from(seed));
      return new Input(Uint8Array.from(repair && repaired ? repair(changed) : changed));
    });
}

type Mutation = (bytes: Buffer) => Buffer;

/** Half of them at the beginning, where headers are. */
const place = fc.oneof(fc.nat(48), fc.nat());
const length = fc.oneof({ weight: 4, arbitrary: fc.nat(16) }, { weight: 1, arbitrary: fc.nat(4096) });

/** Ends of ranges, and what parsers multiply past them. */
const INTERESTING = [0n, 1n, 2n, 7n, 8n, 9n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x10000n]
  .concat([1n << 24n, (1n << 31n) - 1n, 1n << 31n, (1n << 32n) - 1n, 1n << 32n, (1n << 53n) - 1n, 1n << 53n])
  .concat([(1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n]);

function mutation(words: readonly string[]): fc.Arbitrary<Mutation> {
  const kinds: fc.Arbitrary<Mutation>[] = [
    fc.tuple(place, fc.nat(7)).map(([at, bit]) => flipBit(at, bit)),
    fc.tuple(place, fc.nat(255)).map(([at, value]) => overwrite(at, Buffer.of(value))),
    fc
      .tuple(place, fc.constantFrom(...INTERESTING), fc.constantFrom(1, 2, 4, 8), fc.boolean())
      .map(([at, value, size, littleEndian]) => overwrite(at, integerBytes(value, size, littleEndian))),
    place.map((at) => (bytes: Buffer) => bytes.subarray(0, within(at, bytes))),
    fc.tuple(place, length).map(([at, size]) => removeRange(at, size)),
    fc.tuple(place, place, length).map(([from, to, size]) => copyRange(from, to, size)),
    fc.tuple(place, fc.uint8Array({ maxLength: 12 })).map(([at, piece]) => insert(at, piece)),
  ];
  if (words.length > 0) {
    const word = fc.constantFrom(...words).map((text) => Buffer.from(text));
    kinds.push(
      fc.tuple(place, word).map(([at, piece]) => insert(at, piece)),
      fc.tuple(place, word).map(([at, piece]) => overwrite(at, piece)),
    );
  }
  return fc.oneof(...kinds);
}

const within = (at: number, bytes: Buffer) => (bytes.length === 0 ? 0 : at % bytes.length);

const flipBit =
  (at: number, bit: number): Mutation =>
  (bytes) => {
    const copy = Buffer.from(bytes);
    if (copy.length > 0) copy[within(at, copy)] ^= 1 << bit;
    return copy;
  };

const overwrite =
  (at: number, piece: Uint8Array): Mutation =>
  (bytes) => {
    const copy = Buffer.from(bytes);
    const start = within(at, copy);
    copy.set(piece.subarray(0, copy.length - start), start);
    return copy;
  };

const insert =
  (at: number, piece: Uint8Array): Mutation =>
  (bytes) => {
    const start = within(at, bytes);
    return Buffer.concat([bytes.subarray(0, start), piece, bytes.subarray(start)]);
  };

const removeRange =
  (at: number, size: number): Mutation =>
  (bytes) => {
    const start = within(at, bytes);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + size)]);
  };

const copyRange =
  (from: number, to: number, size: number): Mutation =>
  (bytes) => {
    const start = within(from, bytes);
    return insert(to, bytes.subarray(start, start + size))(bytes);
  };

function integerBytes(value: bigint, size: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  const piece = Buffer.from(bytes.subarray(0, size));
  return littleEndian ? piece : piece.reverse();
}
