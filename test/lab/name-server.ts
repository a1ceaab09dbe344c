import { readFileSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Network } from './network.ts';
import { PATIENCE_MS } from './patience.ts';
import { end } from './processes.ts';
import { followLines, type LoggedQuery } from './query-log.ts';

/** What a name server does with the next query. */
export interface Behaviour {
  readonly mode: 'answer' | 'silent' | 'servfail' | 'refused';
  /** The address that every name has. */
  readonly answers: string;
  /** The part of the queries over UDP that is lost: 0.3. */
  readonly loss?: number;
}

/** What its program is started with. */
export interface NameServerSettings {
  readonly address: string;
  readonly port: number;
  readonly tls?: { readonly port: number; readonly key: string; readonly certificate: string };
  readonly log: string;
  readonly behaviourFile: string;
}

/** A server whose behaviour a test changes while it runs. */
export interface NameServer {
  readonly address: string;
  /** What it was asked since the last call, and how. */
  takeQueries(): readonly (LoggedQuery & { readonly transport: string })[];
  behave(behaviour: Behaviour): Promise<void>;
  close(): Promise<void>;
}

/** Where a server stands; several on one network need different addresses. */
export interface NameServerOptions {
  /** Outside the network's own subnet, so that the provider's DHCP server leaves it alone. */
  readonly address: string;
  readonly port?: number;
  /** Port, key and certificate for DNS over TLS. */
  readonly tls?: NameServerSettings['tls'];
  readonly behaviour: Behaviour;
}

/** Start a name server behind a network's router. */
export async function addNameServer(network: Network, options: NameServerOptions): Promise<NameServer> {
  const { address, port = 53, tls, behaviour } = options;
  const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-names-`));
  const log = join(folder, 'queries.log');
  const behaviourFile = join(folder, 'behaviour.json');
  // As a whole: a question that comes while the file is half written would be the end of the server.
  const behave = async (next: Behaviour): Promise<void> => {
    await writeFile(`${behaviourFile}.new`, JSON.stringify(next));
    await rename(`${behaviourFile}.new`, behaviourFile);
  };
  await behave(behaviour);
  await writeFile(log, '');
  await addLinkBehindRouter(network);
  await network.run('ip', 'address', 'replace', `${address}/32`, 'dev', 'behind');
  const settings = { address, port, log, behaviourFile, ...(tls === undefined ? {} : { tls }) };
  const program = join(import.meta.dirname, 'name-server-program.ts');
  const output = join(folder, 'output.log');
  const server = network.hold(process.execPath, [program, JSON.stringify(settings)], output);
  const started = (): boolean => readFileSync(log, 'utf8').includes('started');
  await until(started, `the name server at ${address} serves`, PATIENCE_MS).catch((error: unknown) => {
    throw new Error(readFileSync(output, 'utf8'), { cause: error });
  });
  const lines = followLines(log);
  return {
    address,
    behave,
    takeQueries: () =>
      lines().flatMap((line) => {
        const [type, name, transport] = line.split(' ');
        if (type === undefined || name === undefined || transport === undefined) return [];
        return [{ type, name: name.toLowerCase(), transport }];
      }),
    async close() {
      await end(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** dnsmasq binds every address of the uplink and of loopback, so other servers need a link of their own. */
export async function addLinkBehindRouter(network: Network): Promise<void> {
  if ((await network.run('ip', '-brief', 'link')).includes('behind')) return;
  await network.run('ip', 'link', 'add', 'name', 'behind', 'type', 'veth', 'peer', 'name', 'behind-end');
  await network.run('ip', 'link', 'set', 'dev', 'behind-end', 'up');
  await network.run('ip', 'link', 'set', 'dev', 'behind', 'up');
}
