import { chmod, lstat, rename, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { DnskeeperError, systemCodeOf } from '../core/errors.ts';
import { systemClock } from './clock.ts';
import type { Log } from './log.ts';
import { sparingLog } from './sparing-log.ts';
import { acceptsConnections } from './unix-socket.ts';
import { serveConnection } from './varlink-connection.ts';
import type { Peer, ServiceInfo, VarlinkInterface, VarlinkLimits } from './varlink-interface.ts';
import { methodTable } from './varlink-methods.ts';

/** What a server needs. */
export interface VarlinkServerOptions {
  readonly path: string;
  readonly interfaces: readonly VarlinkInterface[];
  readonly info: ServiceInfo;
  readonly log: Log;
  readonly peerOf: (fd: number) => Peer | undefined;
  readonly limits?: Partial<VarlinkLimits>;
  /** A connection has been asked for, which leaves memory behind whatever became of it. */
  readonly onConnection?: () => void;
}

/** A server that listens until it is closed. */
export interface VarlinkServer {
  readonly connections: number;
  close(): Promise<void>;
}

const LIMITS: VarlinkLimits = {
  frameBytes: 1 << 20,
  connections: 128,
  connectionsPerUser: 48,
  reservedConnections: 8,
  outstandingReplies: 32,
  outstandingBytes: 16 << 20,
};

/** Serve varlink interfaces on a unix socket that every local user may connect to. */
export async function serveVarlink(options: VarlinkServerOptions): Promise<VarlinkServer> {
  const limits = { ...LIMITS, ...options.limits };
  const log = sparingLog(options.log, systemClock);
  const table = methodTable(options.interfaces, options.info);
  const open = new Connections(limits);
  // Half-open connections, so that a client that closes its writing side after the call still gets its reply.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    options.onConnection?.();
    const fd = descriptorOf(socket);
    const peer = fd === undefined ? undefined : options.peerOf(fd);
    if (open.admit(socket, peer))
      serveConnection(socket, peer, table, limits, log, () => open.release(socket));
    else {
      log.warn(
        { peer, connections: open.size },
        'refused a connection to the control socket: too many are open',
      );
      socket.destroy();
    }
  });
  server.maxConnections = limits.connections + limits.reservedConnections;
  const own = await listen(server, options.path);
  server.on('error', (error) => log.error({ error: error.message }, 'the control socket failed'));
  return {
    get connections() {
      return open.size;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open.sockets()) socket.destroy();
      await closed;
      await removeIfOwn(options.path, own);
    },
  };
}

/** Who is connected, within bounds that let nobody lock others out. */
class Connections {
  readonly #limits: VarlinkLimits;
  readonly #users = new Map<Socket, number | undefined>();
  readonly #counts = new Map<number, number>();

  constructor(limits: VarlinkLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#users.size;
  }

  sockets(): readonly Socket[] {
    return [...this.#users.keys()];
  }

  /** Count a connection in; false when there are too many of its user's, or of all. */
  admit(socket: Socket, peer: Peer | undefined): boolean {
    const { connections, reservedConnections, connectionsPerUser } = this.#limits;
    const trusted = peer?.uid === 0 || peer?.uid === process.geteuid?.();
    // Without peer credentials nobody can be told apart, so nobody may use the reserve.
    const uid = trusted ? undefined : peer?.uid;
    const ofUser = uid === undefined ? 0 : (this.#counts.get(uid) ?? 0);
    const most = connections + (trusted ? reservedConnections : 0);
    if (this.#users.size >= most || ofUser >= connectionsPerUser) return false;
    this.#users.set(socket, uid);
    if (uid !== undefined) this.#counts.set(uid, ofUser + 1);
    return true;
  }

  release(socket: Socket): void {
    const uid = this.#users.get(socket);
    if (!this.#users.delete(socket) || uid === undefined) return;
    const left = (this.#counts.get(uid) ?? 1) - 1;
    if (left > 0) this.#counts.set(uid, left);
    else this.#counts.delete(uid);
  }
}

/** Node has no public way to the descriptor of a socket; `_handle.fd` has been there since Node 0.x. */
function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: unknown } })._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/** Bind beside the path and rename over it: clients never find the path missing, and a leftover of SIGKILL is replaced. */
async function listen(server: Server, path: string): Promise<bigint> {
  const beside = `${path}.new`;
  if (Buffer.byteLength(beside) > 107) {
    throw new DnskeeperError(
      'IO',
      `the control socket's path is longer than the kernel allows (107): ${path}`,
    );
  }
  await refuseIfServed(path);
  await unlink(beside).catch(ignoreMissing);
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void =>
      reject(new DnskeeperError('IO', `cannot make the control socket ${path}: ${error.message}`, error));
    server.once('error', failed);
    server.listen(beside, () => {
      server.off('error', failed);
      resolve();
    });
  });
  // 0666 because reading is open to every local user; changing is decided by peer credentials.
  await chmod(beside, 0o666);
  await rename(beside, path);
  return (await lstat(path, { bigint: true })).ino;
}

async function refuseIfServed(path: string): Promise<void> {
  const there = await lstat(path).catch(ignoreMissing);
  if (there === undefined) return;
  if (!there.isSocket()) {
    throw new DnskeeperError('IO', `${path} should be a socket but is another kind of file; remove it`);
  }
  if (await acceptsConnections(path, 2000)) {
    throw new DnskeeperError('LOCKED', `another daemon answers on ${path}; stop it first`);
  }
}

async function removeIfOwn(path: string, own: bigint): Promise<void> {
  const there = await lstat(path, { bigint: true }).catch(ignoreMissing);
  if (there?.ino === own) await unlink(path).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): undefined {
  if (systemCodeOf(error) !== 'ENOENT') throw error;
  return undefined;
}
