/**
 * `node hostile-program.ts RESULT IFINDEX`, inside a machine and as an ordinary user: sends the stand-in for systemd-resolved what no
 * program should, in waves without end until SIGTERM, and keeps writing how much of each to the file RESULT as JSON (`Attacked`).
 */
import { renameSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { BodyWriter, callBytes, type RawBus, type RawCall, rawBus } from '../support/raw-bus.ts';

/** What an attack has done so far. */
export interface Attacked {
  /** Waves that are over. */
  readonly waves: number;
  /** Connections that were asked for and those that were ended by the other side. */
  readonly connections: number;
  readonly hungUp: number;
  /** How often each error was the answer over D-Bus; `none` for an answer that is none. */
  readonly errors: Readonly<Record<string, number>>;
}

const CONNECTIONS = 4000;
/** So many are asked for at once; more would only wait in the kernel. */
const AT_ONCE = 200;
const BUS_CALLS = 3000;
const RESOLVE_SOCKET = '/run/systemd/resolve/io.systemd.Resolve';
const SYSTEM_BUS = '/run/dbus/system_bus_socket';
const RESOLVE1 = 'org.freedesktop.resolve1';

const [result = '', ifindex = ''] = process.argv.slice(2);
const told = { waves: 0, connections: 0, hungUp: 0, errors: {} as Record<string, number> };
/** How many calls stand in one write, so that nobody who reads nothing is answered for ever. */
const PILED = 200;
const WRONGS: readonly (string | Buffer)[] = [
  '{"method":"io.systemd.Resolve.Resolve',
  'no JSON at all\0',
  Buffer.alloc(512 * 1024, 'x'),
  lookup('who.example', PILED),
  lookup(`nowhere.${'x'.repeat(300)}`),
  `{"method":"io.systemd.Resolve.ResolveHostname","parameters":{"name":${'['.repeat(20_000)}${']'.repeat(20_000)}}}\0`,
  '{"method":"io.systemd.Resolve.Monitor.SubscribeQueryResults","more":true}\0',
  `{"method":"io.systemd.Resolve.ResolveHostname","oneway":true,"parameters":{"name":"who.example"}}\0`,
  Buffer.of(0xff, 0xfe, 0x00, 0x00, 0x00),
];

let ended = false;
const end = Promise.withResolvers<void>();
process.once('SIGTERM', () => {
  ended = true;
  end.resolve();
});
while (!ended) {
  await Promise.all([varlinkWave(), busWave()]);
  told.waves++;
  writeFileSync(`${result}.new`, JSON.stringify(told));
  renameSync(`${result}.new`, result);
}
setImmediate(() => process.exit());

/** Open all connections, send something wrong on each, and hang up on all. */
async function varlinkWave(): Promise<void> {
  const sockets: Socket[] = [];
  for (let opened = 0; opened < CONNECTIONS && !ended; opened += AT_ONCE)
    sockets.push(
      ...(await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => attack(opened + index)))),
    );
  for (const socket of sockets) socket.destroy();
}

function attack(index: number): Promise<Socket> {
  told.connections++;
  const socket = connect(RESOLVE_SOCKET);
  let connected = false;
  socket.on('close', () => {
    if (connected) told.hungUp++;
  });
  return new Promise((resolve) => {
    socket.on('error', () => resolve(socket));
    socket.once('connect', () => {
      connected = true;
      const wrong = WRONGS[index % WRONGS.length];
      if (wrong !== undefined) socket.write(wrong);
      if (index % 7 === 0) {
        connected = false;
        socket.destroy();
      } else if (index % 3 > 0) socket.resume();
      resolve(socket);
    });
  });
}

function lookup(name: string, count = 1): string {
  const call = { method: 'io.systemd.Resolve.ResolveHostname', parameters: { name, family: 2 } };
  return `${JSON.stringify(call)}\0`.repeat(count);
}

/** Calls that are wrong, and more right ones than anybody may have under way. */
async function busWave(): Promise<void> {
  const bus = await rawBus(SYSTEM_BUS).catch(() => undefined);
  if (bus === undefined) return;
  try {
    for (const call of badCalls()) await tell(bus, call);
    const calls = Array.from({ length: BUS_CALLS }, (_, index) =>
      tell(bus, resolveHostname(`n${index}.who.example`)),
    );
    await Promise.race([Promise.all(calls), end.promise]);
  } catch {
    // The bus has ended the connection, as it may.
  }
  bus.close();
}

async function tell(bus: RawBus, call: RawCall): Promise<void> {
  const { errorName = 'none' } = await bus.send(callBytes(call));
  told.errors[errorName] = (told.errors[errorName] ?? 0) + 1;
}

function manager(member: string, signature: string, body: BodyWriter): RawCall {
  const path = '/org/freedesktop/resolve1';
  return {
    destination: RESOLVE1,
    path,
    interface: `${RESOLVE1}.Manager`,
    member,
    signature,
    body: body.take(),
  };
}

function resolveHostname(name: string): RawCall {
  return manager('ResolveHostname', 'isit', new BodyWriter().uint32(0).string(name).uint32(2).uint64(0n));
}

/** One for each check that a call goes through; those that would change something come last and lack the right to. */
function badCalls(): readonly RawCall[] {
  const servers = (count: number): BodyWriter =>
    new BodyWriter().uint32(Number(ifindex)).array(8, (rows) => {
      for (let index = 0; index < count; index++)
        rows
          .align(8)
          .uint32(2)
          .uint32(4)
          .bytes(Uint8Array.of(10, 66, index >> 8, index & 255));
    });
  const property = new BodyWriter()
    .string(`${RESOLVE1}.Manager`)
    .string('DNSSEC')
    .signature('s')
    .string('yes');
  return [
    manager('ResolveHostname', 's', new BodyWriter().string('who.example')),
    resolveHostname('x'.repeat(100_000)),
    manager('Explode', '', new BodyWriter()),
    { ...resolveHostname('who.example'), path: '/org/freedesktop/nowhere' },
    { ...manager('Set', 'ssv', property), interface: 'org.freedesktop.DBus.Properties' },
    manager('SetLinkDNS', 'ia(iay)', servers(257)),
    manager('SetLinkDNS', 'ia(iay)', servers(2)),
    manager('RevertLink', 'i', new BodyWriter().uint32(Number(ifindex))),
    manager('FlushCaches', '', new BodyWriter()),
  ];
}
