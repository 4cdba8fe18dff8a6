import { describe, expect, it } from 'vitest';
import { MnistTrainError } from '../../src/errors.js';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.js';
import { atOnce } from '../../src/pieces.js';

const SOURCE = 'some/model.safetensors';

/** A file from a header text (or bytes) and a buffer, with nothing checked. */
function fileOf(header: string | Uint8Array, buffer: Uint8Array = new Uint8Array(0)): Uint8Array {
  const headerBytes = typeof header === 'string' ? Buffer.from(header) : header;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerBytes.length));
  return new Uint8Array(Buffer.concat([length, headerBytes, buffer]));
}

/** What decoding throws; fails the test when it throws nothing or something that is not ours. */
function refusal(bytes: Uint8Array): MnistTrainError {
  try {
    atOnce(decodeSafetensors(bytes, SOURCE));
  } catch (error) {
    expect(error).toBeInstanceOf(MnistTrainError);
    const refused = error as MnistTrainError;
    expect(refused.code).toBe('ERR_FORMAT');
    expect(refused.message).toContain(SOURCE);
    expect(refused.message).toMatch(/^Expected .+ for .+, received .+\. .+/s);
    return refused;
  }
  throw new Error('The file was accepted.');
}

const golden = fileOf(
  // 156 characters, padded to 160.
  `${[
    '{"__metadata__":{"format":"pt"}',
    '"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}',
    '"0.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}',
  ].join(',')}`.padEnd(160, ' '),
  // 1, -2, 0.5 and 3 as little-endian float32.
  Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f, 0, 0, 0x40, 0x40),
);

describe('encodeSafetensors', () => {
  it('writes the reference layout byte for byte, ordered by name, whatever the order of the input', () => {
    const bytes = atOnce(
      encodeSafetensors(
        [
          { name: '0.weight', shape: [1, 2], data: Float32Array.of(0.5, 3) },
          { name: '0.bias', shape: [2], data: Float32Array.of(1, -2) },
        ],
        { format: 'pt' },
      ),
    );
    expect(Buffer.from(bytes).toString('latin1')).toBe(Buffer.from(golden).toString('latin1'));
  });

  it('orders numeric names as text and names outside ASCII by their UTF-8 bytes', () => {
    const names = ['10', '2', '\u{1F600}', '\uFF5E', 'a"b'];
    const bytes = atOnce(encodeSafetensors(names.map((name) => ({ name, shape: [], data: Float32Array.of(1) }))));
    expect([...atOnce(decodeSafetensors(bytes, SOURCE)).tensors.keys()].sort()).toEqual([...names].sort());
    const text = Buffer.from(bytes).toString('utf8');
    const positions = ['"10"', '"2"', '"a\\"b"', '"\uFF5E"', '"\u{1F600}"'].map((key) => text.indexOf(key));
    expect(positions.every((position) => position > 0)).toBe(true);
    expect([...positions].sort((a, b) => a - b)).toEqual(positions);
  });

  it('aligns the values to 8 bytes whatever the length of the header', () => {
    for (let length = 1; length <= 9; length++) {
      const bytes = atOnce(encodeSafetensors([{ name: 'n'.repeat(length), shape: [1], data: Float32Array.of(7) }]));
      expect((bytes.length - 4) % 8).toBe(0);
      expect(atOnce(decodeSafetensors(bytes, SOURCE)).tensors.get('n'.repeat(length))!.data).toEqual(
        Float32Array.of(7),
      );
    }
  });

  it('refuses reserved and repeated names, wrong shapes and metadata that is not text', () => {
    const one = (name: string, shape = [1]) => ({ name, shape, data: Float32Array.of(1) });
    const code = (run: () => unknown) => {
      try {
        run();
      } catch (error) {
        return (error as MnistTrainError).code;
      }
      return 'nothing thrown';
    };
    expect(code(() => atOnce(encodeSafetensors([one('__metadata__')])))).toBe('ERR_ARGUMENT');
    expect(code(() => atOnce(encodeSafetensors([one('__proto__')])))).toBe('ERR_ARGUMENT');
    expect(code(() => atOnce(encodeSafetensors([one('a'), one('a')])))).toBe('ERR_ARGUMENT');
    expect(code(() => atOnce(encodeSafetensors([one('a', [2])])))).toBe('ERR_SHAPE');
    expect(code(() => atOnce(encodeSafetensors([one('a', [-1, -1])])))).toBe('ERR_SHAPE');
    expect(code(() => atOnce(encodeSafetensors([], { epochs: 5 as unknown as string })))).toBe('ERR_ARGUMENT');
    expect(code(() => atOnce(encodeSafetensors([], JSON.parse('{"__proto__":"a"}'))))).toBe('ERR_ARGUMENT');
  });
});

describe('decodeSafetensors', () => {
  it('reads the golden file, at any alignment, as copies', () => {
    const shifted = new Uint8Array(golden.length + 3);
    shifted.set(golden, 3);
    const bytes = shifted.subarray(3);
    const { tensors, metadata } = atOnce(decodeSafetensors(bytes, SOURCE));
    bytes.fill(0);
    expect(metadata).toEqual({ format: 'pt' });
    expect([...tensors]).toEqual([
      ['0.bias', { dtype: 'F32', shape: [2], data: Float32Array.of(1, -2) }],
      ['0.weight', { dtype: 'F32', shape: [1, 2], data: Float32Array.of(0.5, 3) }],
    ]);
  });

  it('gives back what was encoded, with scalars, empty tensors, subnormals and non-finite values', () => {
    const tensors = [
      { name: 'empty', shape: [0, 3], data: new Float32Array(0) },
      { name: 'scalar', shape: [], data: Float32Array.of(-0) },
      { name: 'values', shape: [2, 3, 1], data: Float32Array.of(1e-45, Infinity, -Infinity, NaN, 3.4e38, 0.1) },
    ];
    const metadata = { constructor: 'text', über: '{"nested": "JSON as text"}', '': '\u0000' };
    const decoded = atOnce(decodeSafetensors(atOnce(encodeSafetensors(tensors, metadata)), SOURCE));
    expect(decoded.metadata).toEqual(metadata);
    expect([...decoded.tensors.keys()]).toEqual(['empty', 'scalar', 'values']);
    for (const { name, shape, data } of tensors) {
      expect(decoded.tensors.get(name)!.shape).toEqual(shape);
      expect(Buffer.from(decoded.tensors.get(name)!.data.buffer)).toEqual(Buffer.from(data.buffer));
    }
  });

  it('reads an empty file of no tensors', () => {
    expect(atOnce(decodeSafetensors(fileOf('{}'), SOURCE))).toEqual({ tensors: new Map(), metadata: {} });
  });

  it('converts float16, bfloat16 and float64', () => {
    const entry = (dtype: string, count: number, begin: number, end: number) =>
      `{"dtype":"${dtype}","shape":[${count}],"data_offsets":[${begin},${end}]}`;
    const buffer = Buffer.alloc(16 + 12 + 6);
    buffer.writeDoubleLE(0.1, 0);
    buffer.writeDoubleLE(1e300, 8);
    // 1, -2, the largest, the smallest subnormal, -Infinity, NaN
    [0x3c00, 0xc000, 0x7bff, 0x0001, 0xfc00, 0x7e00].forEach((bits, i) => {
      buffer.writeUInt16LE(bits, 16 + 2 * i);
    });
    [0x3f80, 0xc2f7, 0x7f80].forEach((bits, i) => {
      buffer.writeUInt16LE(bits, 28 + 2 * i);
    });
    const header = `{"d":${entry('F64', 2, 0, 16)},"h":${entry('F16', 6, 16, 28)},"b":${entry('BF16', 3, 28, 34)}}`;
    const { tensors } = atOnce(decodeSafetensors(fileOf(header, buffer), SOURCE));
    expect(tensors.get('d')).toEqual({ dtype: 'F64', shape: [2], data: Float32Array.of(0.1, Infinity) });
    expect(tensors.get('h')!.data).toEqual(Float32Array.of(1, -2, 65504, 2 ** -24, -Infinity, NaN));
    expect(tensors.get('b')!.data).toEqual(Float32Array.of(1, -123.5, Infinity));
  });
});

describe('damaged safetensors', () => {
  it('refuses the golden file cut off at every byte, and with bytes behind its end', () => {
    for (let length = 0; length < golden.length; length++) refusal(golden.slice(0, length));
    refusal(new Uint8Array([...golden, 0]));
  });

  it('refuses every flipped bit of the header length', () => {
    for (let bit = 0; bit < 64; bit++) {
      const damaged = golden.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      refusal(damaged);
    }
  });

  it('either reads or refuses every flipped bit of the header, and throws nothing else', () => {
    let refused = 0;
    for (let bit = 64; bit < 8 * (golden.length - 16); bit++) {
      const damaged = golden.slice();
      damaged[bit >> 3] ^= 1 << (bit & 7);
      try {
        atOnce(decodeSafetensors(damaged, SOURCE));
      } catch (error) {
        expect(error).toBeInstanceOf(MnistTrainError);
        expect((error as MnistTrainError).code).toBe('ERR_FORMAT');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(500);
  });

  const one = (fields: string) => `{"a":{${fields}}}`;
  const fields = (dtype: string, shape: string, offsets: string) =>
    one(`"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}`);
  const good = '"dtype":"F32","shape":[1],"data_offsets":[0,4]';
  const two = (first: string, second: string) =>
    `{"a":{"dtype":"F32","shape":[1],"data_offsets":${first}},"b":{"dtype":"F32","shape":[1],"data_offsets":${second}}}`;

  const cases: [title: string, header: string | Uint8Array, bufferBytes: number, message: RegExp][] = [
    ['a header that starts with a space', ' {}', 0, /"\{" as the first character/],
    ['a header that is an array', '[{}]', 0, /"\{" as the first character/],
    ['broken JSON', '{"a":', 0, /JSON for the header/],
    ['text behind the JSON', '{} x', 0, /JSON for the header/],
    ['invalid UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), 0, /UTF-8 for the text of the header/],
    ['a repeated tensor', `{"a":{${good}},"a":{${good}}}`, 4, /every key once .* "a"/],
    ['a repeated tensor, one name escaped', `{"a":{${good}},"\\u0061":{${good}}}`, 4, /every key once .* "a"/],
    ['a repeated field', one(`${good},"dtype":"F32"`), 4, /every key once .* "dtype"/],
    ['repeated metadata', '{"__metadata__":{"k":"v","k":"v"}}', 0, /every key once .* "k"/],
    ['repeated __metadata__', '{"__metadata__":{},"__metadata__":{}}', 0, /every key once/],
    ['a tensor __proto__', `{"__proto__":{${good}}}`, 4, /another key .* "__proto__"/],
    ['a field __proto__', one(`${good},"__proto__":{"dtype":"F32"}`), 4, /another key .* "__proto__"/],
    ['an escaped __proto__ in metadata', '{"__metadata__":{"\\u005f_proto__":"x"}}', 0, /another key .* "__proto__"/],
    ['metadata that is no object', '{"__metadata__":["a"]}', 0, /an object for __metadata__/],
    ['metadata of null', '{"__metadata__":null}', 0, /an object for __metadata__/],
    ['metadata holding a number', '{"__metadata__":{"k":1}}', 0, /a string for __metadata__ entry "k"/],
    ['metadata holding an object', '{"__metadata__":{"k":{"k":"v"}}}', 0, /a string for __metadata__ entry "k"/],
    ['an entry of null', '{"a":null}', 0, /an object with dtype, shape and data_offsets for tensor "a"/],
    ['an entry that is an array', '{"a":[]}', 0, /an object with dtype.* for tensor "a"/],
    ['an entry in an entry', one(`"a":{${good}}`), 4, /a string for dtype of tensor "a"/],
    ['fields that shadow methods', one('"dtype":{"toString":1,"constructor":{"name":{}}}'), 0, /a string for dtype/],
    ['methods in a shape', fields('"F32"', '[{"toString":1,"valueOf":1}]', '[0,4]'), 4, /shape of tensor "a"/],
    ['nesting without end', `{"a":${'['.repeat(99)}${']'.repeat(99)}}`, 0, /at most 16 levels/],
    ['a missing dtype', one('"shape":[1],"data_offsets":[0,4]'), 4, /dtype of tensor "a"/],
    ['a missing shape', one('"dtype":"F32","data_offsets":[0,4]'), 4, /shape of tensor "a"/],
    ['missing offsets', one('"dtype":"F32","shape":[1]'), 4, /data_offsets of tensor "a"/],
    ['a number as dtype', fields('32', '[1]', '[0,4]'), 4, /a string for dtype of tensor "a"/],
    ['an integer type', fields('"I64"', '[1]', '[0,8]'), 8, /one of F64, F32, F16, BF16 for dtype .* "I64"/],
    ['an unknown type', fields('"toString"', '[1]', '[0,4]'), 4, /dtype of tensor "a" .* "toString"/],
    ['a shape that is a number', fields('"F32"', '1', '[0,4]'), 4, /shape of tensor "a"/],
    ['a dimension as text', fields('"F32"', '["1"]', '[0,4]'), 4, /shape of tensor "a"/],
    ['a null dimension', fields('"F32"', '[null]', '[0,4]'), 4, /shape of tensor "a"/],
    ['a negative dimension', fields('"F32"', '[-1]', '[0,4]'), 4, /shape of tensor "a"/],
    ['two negative dimensions', fields('"F32"', '[-1,-1]', '[0,4]'), 4, /shape of tensor "a"/],
    ['a fractional dimension', fields('"F32"', '[0.5,2]', '[0,4]'), 4, /shape of tensor "a"/],
    ['an infinite dimension', fields('"F32"', '[1e999]', '[0,4]'), 4, /shape of tensor "a"/],
    ['NaN, which JSON does not know', fields('"F32"', '[NaN]', '[0,4]'), 4, /JSON for the header/],
    ['a dimension past 2^53', fields('"F32"', '[9007199254740993]', '[0,4]'), 4, /shape of tensor "a"/],
    ['a product past 2^64', fields('"F32"', '[4294967296,4294967296,1]', '[0,4]'), 4, /a shape that fits/],
    ['a product past 2^53 times zero', fields('"F32"', '[4294967296,4294967296,0]', '[0,0]'), 0, /a shape that fits/],
    ['a shape larger than its bytes', fields('"F32"', '[1000000000]', '[0,4]'), 4, /a shape of 1 elements/],
    ['a shape smaller than its bytes', fields('"F32"', '[1]', '[0,8]'), 8, /a shape of 2 elements/],
    ['bytes that are no whole element', fields('"F32"', '[1]', '[0,6]'), 6, /a shape of 1.5 elements/],
    ['one offset', fields('"F32"', '[1]', '[4]'), 4, /data_offsets of tensor "a"/],
    ['three offsets', fields('"F32"', '[1]', '[0,4,4]'), 4, /data_offsets of tensor "a"/],
    ['a negative offset', fields('"F32"', '[1]', '[-4,0]'), 4, /data_offsets of tensor "a"/],
    ['a fractional offset', fields('"F32"', '[1]', '[0.5,4.5]'), 5, /data_offsets of tensor "a"/],
    ['offsets the wrong way round', fields('"F32"', '[1]', '[4,0]'), 4, /begin <= end/],
    ['offsets behind the end', fields('"F32"', '[2]', '[0,8]'), 4, /begin <= end <= 4/],
    ['huge offsets', fields('"F32"', '[1]', '[9007199254740987,9007199254740991]'), 4, /begin <= end <= 4/],
    ['a buffer with bytes that no tensor owns', one(good), 8, /4 bytes of values for the buffer/],
    ['a buffer without tensors', '{}', 4, /0 bytes of values for the buffer/],
    ['a hole before the first tensor', fields('"F32"', '[1]', '[4,8]'), 8, /0 as the beginning/],
    ['a hole between tensors', two('[0,4]', '[8,12]'), 12, /4 as the beginning for data_offsets of tensor "b"/],
    ['an overlap', two('[0,4]', '[2,6]'), 6, /4 as the beginning for data_offsets of tensor "b"/],
    ['tensors that share their bytes', two('[0,4]', '[0,4]'), 4, /4 as the beginning for data_offsets of tensor "b"/],
  ];
  it.each(cases)('refuses %s', (_title, header, bufferBytes, message) => {
    expect(refusal(fileOf(header, new Uint8Array(bufferBytes))).message).toMatch(message);
  });

  it('refuses a header of 100,000 nested arrays and objects without running out of stack', () => {
    const depth = 100_000;
    refusal(fileOf(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`));
    refusal(fileOf(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`));
    refusal(fileOf('{"a":'.repeat(depth)));
  });

  it('refuses a header longer than the reference limit even when the file is that long', () => {
    const bytes = new Uint8Array(100_000_001 + 8);
    new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
    expect(refusal(bytes).message).toMatch(/from 2 to 100000000 bytes/);
  });
});
