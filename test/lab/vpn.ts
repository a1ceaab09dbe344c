import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import { makeCertificates } from './certificates.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import { PATIENCE_MS } from './patience.ts';
import { end } from './processes.ts';
import { followQueryLog, type LoggedQuery } from './query-log.ts';

/** An OpenVPN server at the provider of a network, with a DNS server of its own behind the tunnel. */
export interface VpnServer {
  /** Where clients connect to. */
  readonly address: string;
  /** The DNS server it pushes. */
  readonly dns: string;
  /** Folder on the host with what a client needs: `ca.crt`, `client.crt`, `client.key`. */
  readonly certificates: string;
  /** What that DNS server was asked since the last call. */
  takeQueries(): readonly LoggedQuery[];
  close(): Promise<void>;
}

/** Two servers at one provider need different subnets, devices and ports. */
export interface VpnOptions {
  readonly subnet?: string;
  readonly domains?: readonly string[];
  readonly device?: string;
  readonly port?: number;
  /** More arguments of its dnsmasq: `--cname=…`. */
  readonly dnsmasq?: readonly string[];
}

/** Start a VPN server reachable through `network`; its DNS answers `intranet.<domain>`. */
export async function addVpnServer(
  network: Network,
  {
    subnet = '10.99.0',
    domains = ['corp.example'],
    device = 'vpn',
    port = 1194,
    dnsmasq = [],
  }: VpnOptions = {},
): Promise<VpnServer> {
  const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-vpn-`));
  const at = (name: string): string => join(folder, name);
  const dns = `${subnet}.1`;
  await makeCertificates(folder);
  const tunnel = network.hold(
    'openvpn',
    [
      ...['--dev', device, '--dev-type', 'tun', '--tls-server', '--mode', 'server'],
      ...['--local', network.gateway, '--port', String(port)],
      ...['--ca', at('ca.crt'), '--cert', at('server.crt'), '--key', at('server.key'), '--dh', 'none'],
      ...['--topology', 'subnet', '--server', `${subnet}.0`, '255.255.255.0', '--keepalive', '2', '10'],
      ...['--push', `dhcp-option DNS ${dns}`],
      ...domains.flatMap((domain) => ['--push', `dhcp-option DOMAIN ${domain}`]),
    ],
    at('openvpn.log'),
  );
  await until(
    () => readFileSync(at('openvpn.log'), 'utf8').includes('Initialization Sequence Completed'),
    'OpenVPN serves',
    PATIENCE_MS,
  );
  const names = network.hold(
    'dnsmasq',
    [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--user=root'],
      ...[`--interface=${device}`, '--except-interface=lo', '--bind-interfaces', '--local-ttl=3600'],
      ...[`--pid-file=${at('dns.pid')}`, `--address=/who.example/${dns}`],
      ...['--log-queries', `--log-facility=${at('queries.log')}`, ...dnsmasq],
      ...domains.map((domain) => `--address=/intranet.${domain}/${subnet}.80`),
    ],
    at('dns.log'),
  );
  await until(
    () => existsSync(at('queries.log')) && readFileSync(at('queries.log'), 'utf8').includes('started'),
    'dnsmasq serves behind the tunnel',
    PATIENCE_MS,
  );
  const log = followQueryLog(at('queries.log'));
  return {
    address: `${network.gateway}:${port}`,
    dns,
    certificates: folder,
    takeQueries: () => log.take(),
    async close() {
      await end(names);
      await end(tunnel);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Give the machine a NetworkManager profile for the server: all traffic through it, or only its own subnet. */
export async function addVpnProfile(
  machine: Machine,
  server: VpnServer,
  { name, tunnel }: { readonly name: string; readonly tunnel: 'full' | 'split' },
): Promise<void> {
  const files = { ca: 'ca.crt', cert: 'client.crt', key: 'client.key' };
  for (const file of Object.values(files))
    await machine.copyIn(join(server.certificates, file), `/etc/lab-vpn/${file}`);
  const data = [
    `remote=${server.address}`,
    'connection-type=tls',
    'dev-type=tun',
    'cert-pass-flags=4',
    ...Object.entries(files).map(([key, file]) => `${key}=/etc/lab-vpn/${file}`),
  ];
  const never = tunnel === 'split' ? 'yes' : 'no';
  await machine.ok(
    `nmcli connection add type vpn con-name ${name} vpn-type openvpn vpn.data '${data.join(',')}' ` +
      `ipv4.never-default ${never} ipv6.never-default ${never}`,
  );
}
