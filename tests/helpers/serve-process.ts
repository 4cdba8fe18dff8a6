import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** `mnist-train serve` as a process of its own, and clients with real connections. */

const CLI = fileURLToPath(new URL('../../bin/mnist-train.js', import.meta.url));
const running = new Set<ChildProcess>();

/** Those that a failed test has left. */
export function killServers(): void {
  for (const child of running) child.kill('SIGKILL');
}

export type ServeProcess = Awaited<ReturnType<typeof startServe>>;

export async function startServe(model: string, ...options: string[]) {
  const child = spawn(process.execPath, [CLI, 'serve', model, '--port', '0', '--json', ...options], {
    cwd: dirname(model),
  });
  running.add(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
    });
  }
  const events = () =>
    output.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const event = async (name: string) => {
    for (;;) {
      const found = events().find((each) => each.event === name);
      if (found) return found;
      if (child.exitCode !== null) throw new Error(`The server ended: ${output.stderr}`);
      await sleep(10);
    }
  };
  const { url } = await event('listening');
  const post = (body: Buffer<ArrayBuffer> | string, type = 'application/octet-stream') =>
    fetch(`${url}/predict`, { method: 'POST', headers: { 'content-type': type }, body });
  const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    running.delete(child);
    return { status: child.exitCode, ...output, events: events() };
  };
  return { child, url, port: Number(new URL(url).port), post, event, events, end, output };
}

/** The end of a connection, also one that the server cuts off: `once` would reject then. */
export function closing(socket: Socket): Promise<unknown> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Sends raw bytes and resolves with all that comes back until the connection ends. */
export async function raw(port: number, ...pieces: (string | Buffer)[]): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1');
  let reply = '';
  socket.setEncoding('latin1').on('data', (text) => {
    reply += text;
  });
  const closed = closing(socket);
  for (const piece of pieces) socket.write(piece);
  await closed;
  return reply;
}

export const statusOf = (reply: string) => Number(reply.split(' ')[1]);
export const head = (length: number | string, type = 'application/octet-stream', connection = 'close') =>
  `POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\nconnection: ${connection}\r\n\r\n`;
