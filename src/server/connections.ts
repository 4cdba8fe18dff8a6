import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Which answers each connection waits for. Clients may send further requests before they have read the answers
 * (pipelining), so that a connection may wait for several; Node keeps those that are not at their turn without telling
 * them when the connection ends, and therefore connections are watched too.
 */
export class Connections {
  readonly #waiting = new Map<Socket, Set<ServerResponse>>();
  #inFlight = 0;

  /** Requests that have not been answered yet. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Counts a request until its answer has left, or its client went away. */
  track({ socket }: IncomingMessage, reply: ServerResponse): void {
    const waiting = this.#waiting.get(socket) ?? this.#open(socket);
    waiting.add(reply);
    this.#inFlight++;
    reply.once('close', () => {
      if (waiting.delete(reply)) this.#inFlight--;
    });
  }

  #open(socket: Socket): Set<ServerResponse> {
    const waiting = new Set<ServerResponse>();
    this.#waiting.set(socket, waiting);
    socket.once('close', () => {
      this.#waiting.delete(socket);
      this.#inFlight -= waiting.size;
      waiting.clear();
    });
    return waiting;
  }

  /**
   * Calls `action` when the requests that arrived whole on a connection are answered: at once when there are none. What is
   * wrong behind them is no reason to answer them otherwise.
   */
  afterAnswers(socket: Socket, action: () => void): void {
    const last = [...(this.#waiting.get(socket) ?? [])].filter(({ req }) => req.complete).at(-1);
    if (last) last.once('close', action);
    else action();
  }

  /** Each connection ends after the last answer that it waits for. */
  closeAfterAnswers(): void {
    for (const [socket, waiting] of this.#waiting) {
      const last = [...waiting].at(-1);
      if (!last) continue;
      if (last.headersSent) last.once('close', () => socket.end());
      else last.setHeader('connection', 'close');
    }
  }

  /** Cuts off clients that do not take an answer within so long after it was ready. Returns a function that ends this. */
  cutSlowReaders(timeoutMilliseconds: number): () => void {
    const readySince = new WeakMap<ServerResponse, number>();
    const timer = setInterval(
      () => {
        const now = performance.now();
        for (const [socket, waiting] of this.#waiting) {
          for (const reply of waiting) {
            if (!reply.writableEnded) continue;
            const since = readySince.get(reply) ?? now;
            readySince.set(reply, since);
            if (now - since >= timeoutMilliseconds) socket.destroy();
          }
        }
      },
      Math.min(1000, timeoutMilliseconds / 4),
    );
    timer.unref();
    return () => clearInterval(timer);
  }
}
