/**
 * The cached path of the resolver alone, for bench/dns.ts: cache and fast path before one server. Arguments: port,
 * server's port, and `plain` for the path without koffi. */
import { createSocket } from 'node:dgram';
import { parseAddress } from '../src/core/address.ts';
import { makeCache } from '../src/resolver/cache.ts';
import { type FastPathOptions, startFastPath } from '../src/resolver/fast-path.ts';
import { startPlainPath } from '../src/resolver/fast-path-plain.ts';
import { fit as cut } from '../src/resolver/message.ts';
import { readQuery } from '../src/resolver/message-read.ts';
import type { Answerer } from '../src/resolver/query.ts';
import { systemClock } from '../src/system/clock.ts';
import { type Libc, loadLibc } from '../src/system/libc.ts';
import { silentLog } from '../src/system/log.ts';

const [port = 0, serverPort = 0] = process.argv.slice(2, 4).map(Number);
const libc = loadLibc();
const loopback = parseAddress('127.0.0.1');
if (libc === undefined || !loopback.ok) throw new Error('wanted the C library');

/** Each question on its own socket: enough for warming up. */
const askServer: Answerer = (query) =>
  new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.on('message', (wire) => {
      socket.close();
      resolve({ wire, origin: { kind: 'upstream', route: 'all', server: 'bench', tookMs: 0 } });
    });
    socket.send(query.wire, serverPort, '127.0.0.1');
  });

const cache = makeCache({
  clock: systemClock,
  routeKeyOf: () => 'all',
  onRepeated: (...answer) => path.put(...answer),
});
const answerer = cache.stage(askServer);
const signal = new AbortController().signal;
const common: Pick<FastPathOptions, 'clock' | 'log' | 'onMiss' | 'onRefresh'> = {
  clock: systemClock,
  log: silentLog,
  onMiss: ({ packet, service, reply }) => {
    const reading = readQuery(packet, 'udp', service);
    if (reading.ok) void answerer(reading.value, signal).then(({ wire }) => reply(cut(reading.value, wire)));
    else if (reading.response !== undefined) reply(reading.response);
  },
  onRefresh: () => {},
};
function fastOn(fd: number) {
  const started = startFastPath({ ...common, libc: libc as Libc });
  started.add({ fd, service: 'full' });
  return started;
}
const path =
  process.argv[4] === 'plain'
    ? await startPlainPath({ ...common, listen: [{ address: loopback.value, port, service: 'full' }] })
    : fastOn(libc.datagrams.bindUdp(loopback.value, port));
process.on('SIGTERM', () => {
  console.log(JSON.stringify({ path: path.statistics(), cache: cache.statistics() }));
  process.exit(0);
});
console.log('ready');
