import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What `GET /metrics` shows, in Prometheus's text format: the server's own numbers, and those of the process. */
export interface ServerMetrics {
  readonly registry: Registry;
  /** By method, route and status. */
  readonly requests: Counter;
  /** Seconds from the head of a request to the last byte of its answer, by route. */
  readonly duration: Histogram;
  readonly predictions: Counter;
  readonly reloads: Counter;
}

/** `inFlight` and `version` are asked when somebody looks. */
export function createMetrics(inFlight: () => number, version: () => number): ServerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'mnist_train_requests_in_flight',
    help: 'Requests that have not been answered yet',
    registers,
    collect() {
      this.set(inFlight());
    },
  });
  new Gauge({
    name: 'mnist_train_model_version',
    help: '1 for the first model, one more with every reload',
    registers,
    collect() {
      this.set(version());
    },
  });
  return {
    registry,
    requests: new Counter({
      name: 'mnist_train_requests_total',
      help: 'Answered requests',
      labelNames: ['method', 'route', 'status'],
      registers,
    }),
    duration: new Histogram({
      name: 'mnist_train_request_duration_seconds',
      help: 'From the head of a request to the end of its answer',
      labelNames: ['route'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
      registers,
    }),
    predictions: new Counter({ name: 'mnist_train_predictions_total', help: 'Samples predicted', registers }),
    reloads: new Counter({
      name: 'mnist_train_model_reloads_total',
      help: 'Changes of the model file, by what came of them',
      labelNames: ['result'],
      registers,
    }),
  };
}
