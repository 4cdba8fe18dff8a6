import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A package as a test publishes it: what its package.json says, and its tarball. */
export interface Publication {
  manifest: { name: string; version: string; [key: string]: unknown };
  tarball: Buffer;
}

export interface Registry {
  url: string;
  close(): Promise<void>;
}

const DAY = 24 * 60 * 60 * 1000;

/**
 * A registry on this machine that has the packages given, as if they were published, and passes every other request on to
 * the registry that npm is set to.
 */
export async function startRegistry(publications: readonly Publication[], upstream: string): Promise<Registry> {
  const own = new Map(publications.map((publication) => [publication.manifest.name, publication]));
  const passedOn = new Map<string, Promise<Answer>>();
  const server = createServer((request, response) => {
    const url = `http://${request.headers.host}`;
    answer(request, url, own, upstream, passedOn)
      .catch((error) => ({ status: 502, type: 'text/plain', body: Buffer.from(String(error)) }))
      .then(({ status, type, body }) => send(response, status, type, body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Answer {
  status: number;
  type: string;
  body: Buffer;
}

function send(response: ServerResponse, status: number, type: string, body: Buffer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length }).end(body);
}

async function answer(
  request: IncomingMessage,
  url: string,
  own: ReadonlyMap<string, Publication>,
  upstream: string,
  passedOn: Map<string, Promise<Answer>>,
): Promise<Answer> {
  const path = decodeURIComponent(new URL(request.url!, url).pathname.slice(1));
  const [name, file] = path.split('/-/');
  // A version of a package, or a tag of one, can be asked for alone.
  const [, nameOfVersion, version] = /^((?:@[^/]+\/)?[^/]+)\/([^/]+)$/.exec(name) ?? [];
  const publication = own.get(name) ?? own.get(nameOfVersion);
  if (request.method !== 'GET') return { status: 405, type: 'text/plain', body: Buffer.from('') };
  if (publication && file) return { status: 200, type: 'application/octet-stream', body: publication.tarball };
  if (publication) {
    const { versions, ...rest } = document(publication, url);
    return json(version && !own.has(name) ? Object.values(versions)[0] : { ...rest, versions });
  }
  const key = `${request.headers.accept} ${request.url}`;
  if (!passedOn.has(key)) passedOn.set(key, passOn(request, upstream, url));
  return passedOn.get(key)!;
}

const json = (value: unknown): Answer => ({
  status: 200,
  type: 'application/json',
  body: Buffer.from(JSON.stringify(value)),
});

/** What a registry says of a package that has one version. */
function document({ manifest, tarball }: Publication, url: string) {
  const { name, version } = manifest;
  const dist = {
    tarball: `${url}/${name}/-/${name.split('/').at(-1)}-${version}.tgz`,
    shasum: createHash('sha1').update(tarball).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(tarball).digest('base64')}`,
  };
  // pnpm and others wait some days before they take a new version.
  const published = new Date(Date.now() - 60 * DAY).toISOString();
  return {
    _id: name,
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
    time: { created: published, modified: published, [version]: published },
  };
}

/** Documents name the tarballs of the other registry: they shall be asked for here too. */
async function passOn(request: IncomingMessage, upstream: string, url: string): Promise<Answer> {
  const { accept } = request.headers;
  const from = new URL(`.${request.url}`, upstream.endsWith('/') ? upstream : `${upstream}/`);
  const response = await fetch(from, { headers: accept ? { accept } : {} });
  const type = response.headers.get('content-type') ?? 'application/octet-stream';
  const body = Buffer.from(await response.arrayBuffer());
  if (!type.includes('json')) return { status: response.status, type, body };
  const text = body
    .toString()
    .replace(/"tarball":\s*"https?:\/\/[^"]+?(\/(?:@[^"/]+\/)?[^"/]+\/-\/[^"]+)"/g, `"tarball":"${url}$1"`);
  return { status: response.status, type, body: Buffer.from(text) };
}
