/** Big-endian writers of the element types, by type byte. */
const WRITERS = {
  u8: { code: 0x08, bytes: 1, write: (view: DataView, at: number, value: number) => view.setUint8(at, value) },
  i8: { code: 0x09, bytes: 1, write: (view: DataView, at: number, value: number) => view.setInt8(at, value) },
  i16: { code: 0x0b, bytes: 2, write: (view: DataView, at: number, value: number) => view.setInt16(at, value) },
  i32: { code: 0x0c, bytes: 4, write: (view: DataView, at: number, value: number) => view.setInt32(at, value) },
  f32: { code: 0x0d, bytes: 4, write: (view: DataView, at: number, value: number) => view.setFloat32(at, value) },
  f64: { code: 0x0e, bytes: 8, write: (view: DataView, at: number, value: number) => view.setFloat64(at, value) },
} as const;

export type ElementType = keyof typeof WRITERS;

/** An IDX file. The values need not match the dimensions: damaged files are made that way. */
export function encodeIdx(type: ElementType, shape: readonly number[], values: ArrayLike<number>): Uint8Array {
  const { code, bytes, write } = WRITERS[type];
  const start = 4 + 4 * shape.length;
  const file = new Uint8Array(start + bytes * values.length);
  const view = new DataView(file.buffer);
  file.set([0, 0, code, shape.length]);
  shape.forEach((dimension, index) => {
    view.setUint32(4 + 4 * index, dimension);
  });
  for (let index = 0; index < values.length; index++) write(view, start + bytes * index, values[index]);
  return file;
}
