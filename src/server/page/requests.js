/** Beyond this the server counts as gone. */
const TIMEOUT_MILLISECONDS = 10_000;

/** The server answered that it cannot; `status` says of what kind that is. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may be answered a little later. */
  get passes() {
    return this.status === 503 || this.status === 408 || this.status === 429;
  }
}

/** The JSON of an answer. Throws a `Refusal`, or what `fetch` throws when nobody answers. */
async function request(path, options) {
  const reply = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MILLISECONDS) });
  if (reply.ok) return reply.json();
  const body = await reply.json().catch(() => ({}));
  throw new Refusal(reply.status, body.error?.message ?? body.message ?? `The server answered with ${reply.status}.`);
}

export const fetchModel = () => request('page/model.json');

export const fetchWeights = (layer, neuron) => request(`weights/${layer}/${neuron}`);

export const explain = (bytes, width, height) =>
  request(`explain?width=${width}&height=${height}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: bytes,
  });

/**
 * A function that has `work` done with the next frame, once at a time: what is asked for meanwhile is done once more
 * when that ends, so that the last call counts.
 */
export function latestOnly(work) {
  let running = false;
  let wanted = false;
  const run = async () => {
    while (wanted) {
      wanted = false;
      await work();
    }
    running = false;
  };
  return () => {
    wanted = true;
    if (running) return;
    running = true;
    requestAnimationFrame(run);
  };
}

/** A function that calls `work` when it has not been called for so long. */
export function settled(milliseconds, work) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}
