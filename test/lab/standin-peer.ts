import type { Machine } from './machine.ts';
import { addNameServer } from './name-server.ts';
import { addNetwork, type Network } from './network.ts';
import type { Result } from './processes.ts';

/** What a machine with two links answers, before anything of ours is on it and after. */

/** The networks of a machine that commands are tried on: eth-a is NetworkManager's, eth-b is set by hand. */
export async function addPeerNetworks(machine: Machine): Promise<readonly Network[]> {
  const first = await addNetwork(machine, {
    link: 'eth-a',
    ipv4: { prefix: '10.20.0' },
    search: ['home.example'],
    answers: { 'host.home.example': '10.20.0.77' },
    dnsmasq: zone,
  });
  const second = await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } });
  await addNameServer(second, {
    address: '10.53.0.1',
    behaviour: { mode: 'servfail', answers: '192.0.2.9' },
  });
  await machine.ok(
    'ip address add 10.30.0.7/24 dev eth-b && ip link set eth-b up && ip route add 10.53.0.0/24 via 10.30.0.1 dev eth-b',
  );
  return [first, second];
}

const record = (type: number, hex: string, name = 'all.example.org'): string =>
  `--dns-rr=${name},${type},${hex}`;

const zone = [
  ...['example.org', 'home.example', '0.20.10.in-addr.arpa'].map((name) => `--local=/${name}/`),
  '--host-record=www.example.org,10.20.0.78',
  '--host-record=v6.example.org,fd20::78',
  '--host-record=all.example.org,10.20.0.79,fd20::79',
  '--cname=alias.example.org,www.example.org',
  ...['example.org', 'all.example.org'].map((name) => `--mx-host=${name},mail.example.org,10`),
  ...['example.org', 'all.example.org'].map((name) => `--txt-record=${name},v=spf1 -all,second "quoted" \\x`),
  '--srv-host=_ldap._tcp.example.org,www.example.org,389,5,6',
  '--srv-host=_none._tcp.example.org',
  '--srv-host=Printer._ipp._tcp.example.org,www.example.org,631,0,0',
  '--txt-record=Printer._ipp._tcp.example.org,paper=A4',
  ...['example.org', 'all.example.org'].map((name) => `--caa-record=${name},0,issue,ca.example`),
  ...['naptr.example.org', 'all.example.org'].map(
    (name) => `--naptr-record=${name},10,20,s,SIP+D2U,,_sip._udp.example.org`,
  ),
  ...['sshfp.example.org', 'all.example.org'].map((name) => record(44, `0401${'5a'.repeat(20)}`, name)),
  ...['_443._tcp.www.example.org', 'all.example.org'].map((name) =>
    record(52, `030101${'aa'.repeat(32)}`, name),
  ),
  ...['https.example.org', 'all.example.org'].map((name) => record(65, '00010000010003026832', name)),
  ...['ds.example.org', 'all.example.org'].map((name) => record(43, `12340d02${'bb'.repeat(32)}`, name)),
  ...['odd.example.org', 'all.example.org'].map((name) => record(999, 'deadbeef', name)),
  record(61, '99aabb'),
  record(61, '99aabb', 'd3b07384d113edec49eaa6238ad5ff00b7e5e23c3a9e94ae0d8e3e83._openpgpkey.example.org'),
  '--txt-record=empty.example.org,x',
];

/** Run the commands one after the other; gives what each printed, with its exit code, by command. */
export async function recordPeer(
  machine: Machine,
  commands: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const printed = new Map<string, string>();
  await machine.ok(SETTINGS);
  for (const command of commands) {
    printed.set(command, shown(await machine.run(`resolvectl flush-caches; ${VARIABLES} ${command}`)));
    if (/eth-b|\$B/.test(command)) await machine.ok(SETTINGS);
  }
  return printed;
}

const SETTINGS =
  "resolvectl revert eth-b && resolvectl dns eth-b 10.53.0.1 && resolvectl domain eth-b '~broken.example'";

const VARIABLES =
  'A=$(cat /sys/class/net/eth-a/ifindex) B=$(cat /sys/class/net/eth-b/ifindex); ' +
  "MANAGER='busctl call org.freedesktop.resolve1 /org/freedesktop/resolve1 org.freedesktop.resolve1.Manager'; " +
  'VARLINK() { method=io.systemd.Resolve.$1; shift; varlinkctl call -j /run/systemd/resolve/io.systemd.Resolve $method "$@"; }; ' +
  'USER() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@" </dev/null; }; ';

/** Time is all that may differ without being told. */
const shown = ({ code, stdout, stderr }: Result): string =>
  `exit ${code}\n${stdout}${stderr}`.replace(/\bin [0-9.]+(?:us|ms|s)\b/g, 'in TIME');
