import { type EngineOptions, loadModel, type Predictor } from '../index.js';

/** A model in service. What a request is answered with is read once, so that an answer is of one model. */
export interface ServedModel {
  readonly predictor: Predictor;
  /** 1 for the first model, one more with every reload. */
  readonly version: number;
  /** SHA-256 of its parameters; see `weightsSha256`. */
  readonly digest: string;
}

/** The model that a server answers with, and its replacement. */
export class Service {
  /** The model file. */
  readonly path: string;
  readonly #engine: EngineOptions;
  #current: ServedModel;

  private constructor(path: string, engine: EngineOptions, first: ServedModel) {
    this.path = path;
    this.#engine = engine;
    this.#current = first;
  }

  /** Rejects as `loadModel` does. */
  static async open(path: string, engine: EngineOptions): Promise<Service> {
    return new Service(path, engine, { ...(await load(path, engine)), version: 1 });
  }

  get current(): ServedModel {
    return this.#current;
  }

  /**
   * Reads the file again and, when it holds another model, swaps that in: requests in flight end on the old one. Resolves
   * with whether it did; rejects as `loadModel` does, and the old model stays.
   */
  async reload(): Promise<boolean> {
    const { predictor, digest } = await load(this.path, this.#engine);
    const old = this.#current;
    if (digest === old.digest && sameArchitecture(predictor, old.predictor)) {
      predictor.dispose();
      return false;
    }
    this.#current = { predictor, digest, version: old.version + 1 };
    old.predictor.dispose();
    return true;
  }

  dispose(): void {
    this.#current.predictor.dispose();
  }
}

async function load(path: string, engine: EngineOptions): Promise<Omit<ServedModel, 'version'>> {
  const model = await loadModel(path, engine);
  try {
    const predictor = model.snapshot();
    // The first prediction opens the engine: not in the first request, and not when memory is too short for it.
    predictor.predictSync(new Uint8Array(sizeOf(predictor.inputShape)));
    return { predictor, digest: predictor.weightsSha256() };
  } finally {
    model.dispose();
  }
}

const sameArchitecture = (a: Predictor, b: Predictor): boolean =>
  JSON.stringify(a.shared.config) === JSON.stringify(b.shared.config);

export const sizeOf = (shape: readonly number[]): number => shape.reduce((size, dimension) => size * dimension, 1);
