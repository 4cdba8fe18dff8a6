/**
 * Counts the bytes that code asks for in typed arrays and buffers. The process's own memory would not tell: the system
 * hands out zeros without having them, and what is freed soon is not seen.
 */
export async function allocatedBy<T>(run: () => T | Promise<T>): Promise<{ value: T; bytes: number }> {
  let bytes = 0;
  const undo: (() => void)[] = [];
  const replace = <Owner extends object, Name extends keyof Owner>(owner: Owner, name: Name, by: Owner[Name]) => {
    const original = owner[name];
    owner[name] = by;
    undo.push(() => {
      owner[name] = original;
    });
  };
  for (const name of CONSTRUCTORS) {
    const original = globalThis[name] as new (...given: unknown[]) => ArrayBufferLike | ArrayBufferView;
    const counting = new Proxy(original, {
      construct: (target, given, newTarget) => {
        // Too many are refused by the engine itself: what counts is that somebody asked.
        const [first] = given;
        const isView = first instanceof ArrayBuffer || first instanceof SharedArrayBuffer;
        if (typeof first === 'number')
          bytes += first * ((original as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1);
        const made = Reflect.construct(target, given, newTarget);
        if (typeof first !== 'number' && !isView) bytes += made.byteLength;
        return made;
      },
    });
    replace(globalThis as unknown as Record<string, unknown>, name, counting);
  }
  for (const name of ['alloc', 'allocUnsafe'] as const) {
    const original = Buffer[name] as (size: number, ...rest: unknown[]) => Buffer<ArrayBuffer>;
    replace(Buffer, name, ((size: number, ...rest: unknown[]) => {
      bytes += size;
      return original.call(Buffer, size, ...rest);
    }) as never);
  }
  try {
    return { value: await run(), bytes };
  } finally {
    for (const each of undo.toReversed()) each();
  }
}

const CONSTRUCTORS = [
  'ArrayBuffer',
  'Uint8Array',
  'Int8Array',
  'Uint16Array',
  'Int16Array',
  'Uint32Array',
  'Int32Array',
  'Float32Array',
  'Float64Array',
] as const;
