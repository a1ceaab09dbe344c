/**
 * Asks systemd-resolved's interfaces for names, as fast as they answer: `node lookup-client.ts '{…}'` with the fields of
 * `LookupLoad`, and one line of JSON out. Bytes are sent and answers hardly read, so that the server is what is measured.
 */
import { connect, type Socket } from 'node:net';
import { BodyWriter, callBytes, METHOD_RETURN, rawBus } from '../test/support/raw-bus.ts';

/** What is asked, and how. */
export interface LookupLoad {
  readonly transport: 'varlink' | 'dbus';
  /** The socket of io.systemd.Resolve, or of the system bus. */
  readonly socket: string;
  /** Each has a connection of its own and asks one name after the other. */
  readonly clients: number;
  readonly seconds: number;
  readonly names: readonly string[];
}

/** What came of it. Times are those of single calls, in microseconds. */
export interface LookupLoaded {
  readonly calls: number;
  readonly seconds: number;
  readonly median: number;
  readonly p99: number;
}

/** Asks one name; resolves when it was answered, and fails with anything but an address. */
type Client = (name: string) => Promise<void>;

if (import.meta.main)
  console.log(JSON.stringify(await run(JSON.parse(process.argv[2] ?? '{}') as LookupLoad)));

async function run(load: LookupLoad): Promise<LookupLoaded> {
  const connectOne = load.transport === 'varlink' ? varlinkClient : busClient;
  const clients = await Promise.all(Array.from({ length: load.clients }, () => connectOne(load.socket)));
  // Once each, so that all are remembered.
  for (const name of load.names) await clients[0]?.(name);
  const took: number[] = [];
  const started = performance.now();
  const end = started + load.seconds * 1000;
  await Promise.all(
    clients.map(async (ask, index) => {
      for (let at = index; performance.now() < end; at++) {
        const before = performance.now();
        await ask(load.names[at % load.names.length] ?? '');
        took.push((performance.now() - before) * 1000);
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  took.sort((a, b) => a - b);
  const at = (part: number): number => Math.round(took[Math.floor((took.length - 1) * part)] ?? Number.NaN);
  process.exitCode = 0;
  setImmediate(() => process.exit());
  return { calls: took.length, seconds, median: at(0.5), p99: at(0.99) };
}

async function varlinkClient(path: string): Promise<Client> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const answers = nextFrame(socket);
  return async (name) => {
    const parameters = { name, family: 2, flags: 0 };
    socket.write(`${JSON.stringify({ method: 'io.systemd.Resolve.ResolveHostname', parameters })}\0`);
    const answer = await answers();
    if (!answer.includes('"addresses"')) throw new Error(`${name} was answered with ${answer}`);
  };
}

/** One frame after the other; there is never more than one on its way. */
function nextFrame(socket: Socket): () => Promise<string> {
  let text = '';
  let settle: { resolve(text: string): void; reject(error: Error): void } | undefined;
  socket.on('close', () => settle?.reject(new Error('the server hung up')));
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (!text.endsWith('\0')) return;
    settle?.resolve(text);
    text = '';
  });
  return () =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
}

async function busClient(path: string): Promise<Client> {
  const bus = await rawBus(path);
  return (name) =>
    new Promise((resolve, reject) => {
      bus.post(resolveHostname(name), (reply) => {
        if (reply.type === METHOD_RETURN) resolve();
        else reject(new Error(`${name} was answered with ${reply.errorName}`));
      });
    });
}

function resolveHostname(name: string): Buffer {
  return callBytes({
    destination: 'org.freedesktop.resolve1',
    path: '/org/freedesktop/resolve1',
    interface: 'org.freedesktop.resolve1.Manager',
    member: 'ResolveHostname',
    signature: 'isit',
    body: new BodyWriter().uint32(0).string(name).uint32(2).uint64(0n).take(),
  });
}
