import fc from 'fast-check';

/** Values that JSON can say and programs seldom expect, besides any others. */
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, true, '', 'x', 0, -0, -1, 0.5, 1e308, 2 ** 31, 2 ** 32, 2 ** 53, [], {}, [null], [[]]),
  fc.constantFrom({ toString: 1, valueOf: 1 }, { nonFinite: 'NaN' }, { length: 2 ** 53 }, { constructor: null }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** JSON values with up to three of their parts replaced, removed, repeated or renamed; now and then as they are. */
export function changedJson(seeds: () => readonly unknown[]): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.nat(), fc.array(fc.tuple(fc.nat(), fc.nat(4), oddValue), { maxLength: 3 }))
    .map(([seed, changes]) => {
      const list = seeds();
      const holder = { value: structuredClone(list[seed % list.length]) };
      for (const [place, kind, value] of changes) change(holder, place, kind, value);
      return holder.value;
    });
}

type Holder = Record<string, unknown>;

function change(root: Holder, place: number, kind: number, value: unknown): void {
  const places = [...placesIn(root)];
  const [holder, key] = places[place % places.length];
  const copy = structuredClone(value);
  if (holder === root || kind < 2) holder[key] = copy;
  else if (Array.isArray(holder)) {
    if (kind === 2) holder.splice(Number(key), 1);
    else holder.push(kind === 3 ? structuredClone(holder[Number(key)]) : copy);
  } else if (kind === 2) delete holder[key];
  else if (kind === 3) holder[`${key}x`] = holder[key];
  else holder[key] = [holder[key]];
}

/** Every value inside another one, as that and the name. */
function* placesIn(holder: Holder): Generator<[Holder, string]> {
  for (const [key, value] of Object.entries(holder)) {
    yield [holder, key];
    if (typeof value === 'object' && value !== null) yield* placesIn(value as Holder);
  }
}
