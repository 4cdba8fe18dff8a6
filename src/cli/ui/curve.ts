/** Points that are kept at most; twice as many as a wide terminal can show. */
const MOST_POINTS = 512;

interface Stretch {
  /** Where it ends. */
  x: number;
  /** The mean over it, and how much it counts beside others. */
  value: number;
  weight: number;
}

/** A curve that grows for hours and stays small: neighbours become one, their mean, when there are too many. */
export class Curve {
  #stretches: Stretch[] = [];

  /** The mean of a stretch that ends at `x`, which lies behind those before. What is not finite cannot be drawn. */
  add(x: number, value: number, weight = 1): void {
    if (!Number.isFinite(value) || !(weight > 0)) return;
    this.#stretches.push({ x, value, weight });
    if (this.#stretches.length < 2 * MOST_POINTS) return;
    const halves = this.#stretches;
    this.#stretches = halves.flatMap((_, i) => (i % 2 === 0 ? [mean(halves.slice(i, i + 2))] : []));
  }

  /** The mean of the last stretch; NaN before there is one. */
  get last(): number {
    return this.#stretches.at(-1)?.value ?? Number.NaN;
  }

  /** At most `count` points: the means over as many equal parts of what there is behind `start`, each at its end. */
  points(count: number, start = 0): [x: number, y: number][] {
    const last = this.#stretches.at(-1);
    if (!last) return [];
    const parts = new Map<number, Stretch[]>();
    for (const stretch of this.#stretches) {
      const part = Math.max(0, Math.ceil(((stretch.x - start) / (last.x - start)) * count) - 1);
      const members = parts.get(part);
      if (members) members.push(stretch);
      else parts.set(part, [stretch]);
    }
    return [...parts.values()].map((members) => {
      const { x, value } = mean(members);
      return [x, value];
    });
  }
}

function mean(stretches: readonly Stretch[]): Stretch {
  const weight = stretches.reduce((sum, stretch) => sum + stretch.weight, 0);
  const value = stretches.reduce((sum, stretch) => sum + stretch.value * stretch.weight, 0) / weight;
  return { x: stretches.at(-1)!.x, value, weight };
}
