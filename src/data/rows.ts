/** Numbers of samples, row-major, a sample a row. */
export type Rows = Uint8Array | Int32Array | Float32Array;

/** A copy of the rows that `order` names, in its order and of the same type. */
export function takeRows<T extends Rows>(values: T, columns: number, order: ArrayLike<number>): T {
  const rows = new (values.constructor as new (length: number) => T)(order.length * columns);
  for (let place = 0; place < order.length; place++) {
    rows.set(values.subarray(order[place] * columns, (order[place] + 1) * columns), place * columns);
  }
  return rows;
}

/** Lists of rows one after the other, in a new one of the same type. */
export function joinRows<T extends Rows>(parts: readonly T[]): T {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new (parts[0].constructor as new (length: number) => T)(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
