import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { makeCertificates } from './certificates.ts';
import { suites } from './debian.ts';
import { expectServers, statusOf, stub, withoutAutomaticProfiles, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNameServer, type NameServer } from './name-server.ts';
import { addNetwork } from './network.ts';
import { installPackage } from './package.ts';
import { PATIENCE_MS } from './patience.ts';

const configuration = '/etc/dnskeeper/conf.d/lab.toml';

describe.each(suites)('servers that a plain file cannot name, on %s', (suite) => {
  let machine: Machine;
  let encrypted: NameServer;
  let plain: NameServer;
  const open: { close(): Promise<void> }[] = [];

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), `dk-${process.pid}-tls-`));
    open.push({ close: () => rm(folder, { recursive: true, force: true }) });
    await makeCertificates(folder, ['DNS:dot.example']);
    machine = await bootMachine({ suite, name: `servers-${suite}` });
    await machine.copyIn(join(folder, 'ca.crt'), '/usr/local/share/ca-certificates/lab.crt');
    await machine.ok('update-ca-certificates');
    await withoutResolved(machine);
    await withoutAutomaticProfiles(machine);
    await installPackage(machine);
    const network = await addNetwork(machine, { link: 'eth-a', ipv4: { prefix: '10.20.0' } });
    open.push(network);
    const tls = { port: 853, key: join(folder, 'server.key'), certificate: join(folder, 'server.crt') };
    const behaviour = { mode: 'answer', answers: '203.0.113.1' } as const;
    encrypted = await addNameServer(network, { address: '10.53.0.1', tls, behaviour });
    plain = await addNameServer(network, {
      address: '10.53.0.2',
      behaviour: { ...behaviour, answers: '203.0.113.2' },
    });
    open.push(encrypted, plain);
    await machine.ok('nmcli connection add type ethernet con-name cafe ifname eth-a ipv6.method disabled');
    await machine.ok('nmcli connection up cafe');
    await expectServers(machine, ['10.20.0.1']);
  });

  afterAll(async () => {
    for (const one of open.toReversed()) await one.close();
    await machine?.destroy();
  });

  beforeEach(async () => {
    await machine.run(`rm -f ${configuration}; systemctl reset-failed`);
  });

  /** The servers of the network from now on, and how to talk to them. */
  async function use(servers: string, overTls: 'no' | 'opportunistic' | 'yes'): Promise<void> {
    const knob = { no: 0, opportunistic: 1, yes: 2 }[overTls];
    await machine.ok(
      `nmcli connection modify cafe ipv4.ignore-auto-dns yes ipv4.dns '${servers}' connection.dns-over-tls ${knob} && ` +
        'nmcli connection up cafe',
    );
    const first = servers.split(/[,#]/)[0];
    await machine.until(
      `dnsctl status --json | tr -d ' \\n' | grep -q '"server":"${first}[#"]'`,
      'the servers are in force',
    );
    await expectServers(machine, stub);
    for (const server of [encrypted, plain]) server.takeQueries();
  }

  let count = 0;
  const ask = (): Promise<string> =>
    machine.ok(`dig +time=15 +tries=1 @127.0.0.53 n${count++}.public.example A`);

  const transports = (server: NameServer): string[] => [
    ...new Set(server.takeQueries().map(({ transport }) => transport)),
  ];

  test('asks over TLS alone when the configuration wants it and the server is who it is to be', async () => {
    await machine.writeFile(configuration, '[dns]\nservers = ["dns+tls://10.53.0.1#dot.example"]\n');
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => void (await machine.ok(`rm ${configuration} && dnsctl reload`)));
    await machine.ok('dnsctl reload');
    await expectServers(machine, stub);
    encrypted.takeQueries();
    expect(await ask()).toContain('203.0.113.1');
    expect(await ask()).toContain('203.0.113.1');
    expect(transports(encrypted)).toEqual(['tls']);
    expect((await statusOf(machine)).status.resolvConf.reason).toContain('needs a port or encryption');
  });

  // NetworkManager 1.42 keeps the name of a server to itself: on the bus there is only the address.
  if (suite !== 'bookworm') {
    test('the same where NetworkManager wants it', async () => {
      await use('10.53.0.1#dot.example', 'yes');
      expect(await ask()).toContain('203.0.113.1');
      expect(await ask()).toContain('203.0.113.1');
      expect(transports(encrypted)).toEqual(['tls']);
      expect((await statusOf(machine)).status.resolvConf.reason).toContain('DNS over TLS');
    });
  }

  test.each([
    { what: 'has a certificate for another name', server: '10.53.0.1#other.example' },
    { what: 'has no name to be checked, nor its address in the certificate', server: '10.53.0.1' },
    { what: 'knows no TLS', server: '10.53.0.2#dot.example' },
  ])('gives no answer, and asks nothing in the open, where the server $what', async ({ server }) => {
    await use(server, 'yes');
    expect(await ask()).toContain('status: SERVFAIL');
    expect([...encrypted.takeQueries(), ...plain.takeQueries()]).toEqual([]);
  });

  test('uses TLS with whoever has it where it is only hoped for', async () => {
    await use('10.53.0.1#other.example', 'opportunistic');
    expect(await ask()).toContain('203.0.113.1');
    expect(transports(encrypted)).toEqual(['tls']);
  });

  test('asks in the open where TLS is only hoped for and there is none', async () => {
    await use('10.53.0.2', 'opportunistic');
    expect(await ask()).toContain('203.0.113.2');
    expect(transports(plain)).toEqual(['udp']);
  });

  test('goes on to the fourth server when the first three are silent', async () => {
    // Nobody has these addresses, and the router says nothing of it.
    await use('10.53.0.11,10.53.0.12,10.53.0.13,10.53.0.2', 'no');
    const time = (text: string): number => Number(/Query time: (\d+) msec/.exec(text)?.[1]);
    const first = await ask();
    const later = await ask();
    process.stdout.write(`${suite}, three silent servers: first ${time(first)} ms, then ${time(later)} ms\n`);
    expect(first).toContain('203.0.113.2');
    expect(later).toContain('203.0.113.2');
    expect((await statusOf(machine)).status.resolvConf.reason).toContain('libc reads 3');
    // NetworkManager may tell the last of its activation only now; then the network is another one and all is forgiven.
    const toldLate = async (): Promise<boolean> => {
      expect(await ask()).toContain('203.0.113.2');
      const { servers } = (await statusOf(machine)).status.resolver;
      return servers.map(({ state }) => state).join() === 'late,late,late,good';
    };
    await until(toldLate, 'status says who is late', PATIENCE_MS);
  });

  test('asks a server on an odd port, over a name server of the network on the usual one', async () => {
    const behaviour = { mode: 'answer', answers: '203.0.113.3' } as const;
    const network = await addNetwork(machine, { link: 'eth-b', ipv4: { prefix: '10.30.0' } });
    await using closing = new AsyncDisposableStack();
    closing.defer(network.close);
    const odd = await addNameServer(network, { address: '10.30.0.53', port: 5353, behaviour });
    closing.defer(odd.close);
    await machine.ok('nmcli connection add type ethernet con-name home ifname eth-b ipv6.method disabled');
    closing.defer(async () => void (await machine.run('nmcli connection delete home')));
    await machine.ok('nmcli connection up home');
    await machine.writeFile(configuration, '[dns]\nservers = ["dns+udp://10.30.0.53:5353"]\n');
    closing.defer(async () => void (await machine.ok(`rm ${configuration} && dnsctl reload`)));
    await machine.ok('dnsctl reload');
    await machine.until('dnsctl status | grep -q 5353', 'the server is in force');
    await expectServers(machine, stub);
    odd.takeQueries();
    expect(await ask()).toContain('203.0.113.3');
    expect(transports(odd)).toEqual(['udp']);
    expect((await statusOf(machine)).status.resolvConf.reason).toContain('needs a port or encryption');
  });
});
