import { type EngineOptions, loadModel, type Predictor } from '../index.js';
import { sizeOf } from '../program/program.js';

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
  /** How many requests hold a model. */
  readonly #holders = new Map<ServedModel, number>();
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
   * Keeps a model open for a request whose body is still being decoded, also when another one goes into service. Returns
   * the function that ends this.
   */
  hold(model: ServedModel): () => void {
    this.#holders.set(model, (this.#holders.get(model) ?? 0) + 1);
    return () => {
      const others = this.#holders.get(model)! - 1;
      if (others > 0) this.#holders.set(model, others);
      else this.#holders.delete(model);
      if (others === 0 && model !== this.#current) model.predictor.dispose();
    };
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
    if (!this.#holders.has(old)) old.predictor.dispose();
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
