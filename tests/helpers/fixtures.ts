/** Programs of tests/embedding/fixtures, each run in a process of its own. They use the built package. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Fixture {
  child: ChildProcess;
  /** What it has written to stdout, once that contains `text`; an error where it ends before. */
  said(text: string): Promise<string>;
  ended: Promise<End>;
}

export function startFixture(file: string, args: string[] = [], flags: string[] = [], env = {}): Fixture {
  const path = join(import.meta.dirname, '..', 'embedding', 'fixtures', file);
  const child = spawn(process.execPath, [...flags, path, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }));
  const said = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        if (stdout.includes(text)) resolve(stdout);
      };
      child.stdout.on('data', look);
      look();
      ended.then(() => reject(new Error(`${file} ended before it said ${text}: ${stdout}${stderr}`)));
    });
  return { child, said, ended };
}

export function runFixture(file: string, args: string[] = [], flags: string[] = [], env = {}): Promise<End> {
  return startFixture(file, args, flags, env).ended;
}
