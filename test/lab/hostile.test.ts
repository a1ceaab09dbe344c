import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ourFile, statusOf, untilLink, withoutResolved } from './dnskeeper.ts';
import { bootMachine, type Machine } from './machine.ts';
import { addNetwork, type NetworkOptions } from './network.ts';
import { installPackage } from './package.ts';
import { addVpnProfile, addVpnServer } from './vpn.ts';

const label = (text: string): string => String.fromCharCode(text.length) + text;
const dozens = Array.from({ length: 60 }, (_, n) => `10.20.0.${n + 2}`);

const attacks: readonly { readonly name: string; readonly options: Partial<NetworkOptions> }[] = [
  {
    name: 'a domain with a newline and a nameserver line',
    options: option(15, 'evil\nnameserver 192.0.2.66\n'),
  },
  { name: 'a domain with control bytes', options: option(15, 'a\x1b[31mb\x00c\x07.example') },
  { name: 'a domain with quotes and shell words', options: option(15, `a"b'c\`reboot\`$(reboot);x`) },
  { name: 'a domain of 300 bytes without a dot', options: option(15, 'x'.repeat(300)) },
  { name: 'a domain that routes everything', options: option(15, '~.') },
  {
    name: 'a search list with a newline in a label',
    options: option(119, `${label('a\nnameserver 192.0.2.66')}\0`),
  },
  {
    name: 'a search list with bytes over 0x7f',
    options: option(119, `${label('\xff\xfe\x80')}${label('example')}\0`),
  },
  { name: 'a search list whose label runs past the end', options: option(119, '\x3fshort') },
  { name: 'a search list with a compression loop', options: option(119, '\xc0\x00') },
  {
    name: 'a search list with a dozen long names',
    options: option(119, `${label('y'.repeat(60))}${label('example')}\0`.repeat(12)),
  },
  { name: 'an empty name', options: option(119, '\0\0\0\0') },
  { name: 'a host name with a newline', options: option(12, 'evil\nnameserver 192.0.2.66') },
  { name: 'sixty servers', options: servers(...dozens) },
  {
    name: 'addresses that no server has',
    options: servers('0.0.0.0', '255.255.255.255', '224.0.0.251', '10.20.0.1'),
  },
  { name: 'loopback as server', options: servers('127.0.0.53', '127.0.0.1', '10.20.0.1') },
  { name: 'the same server again and again', options: servers(...new Array<string>(40).fill('10.20.0.1')) },
  { name: 'a server list of three bytes', options: option(6, '\x0a\x14\x00') },
];

describe('a network that lies', () => {
  let machine: Machine;

  beforeAll(async () => {
    machine = await bootMachine({ suite: 'trixie', name: 'hostile' });
    await withoutResolved(machine);
    await installPackage(machine);
    await untilLink(machine, 'held');
  });

  afterAll(() => machine?.destroy());

  test.each(attacks)('hands out $name', async ({ options }) => {
    const defaults = { link: 'eth-a', ipv4: { prefix: '10.20.0' } };
    const network = await addNetwork(machine, { ...defaults, ...options });
    await using closing = new AsyncDisposableStack();
    closing.defer(async () => {
      await network.close();
      await machine.until('! ip link show eth-a', 'the link is gone');
    });
    await machine.until('nmcli -t -f DEVICE,STATE device | grep -q ^eth-a:connected', 'the lease is there');
    await machine.until(
      'nmcli -g IP4.DNS device show eth-a | grep -q . && grep -q ^nameserver /run/dnskeeper/resolv.conf || ' +
        '! nmcli -g IP4.DNS device show eth-a | grep -q .',
      'what is usable of it is in force',
    );
    await expectHarmless();
  });

  test.each([
    { name: 'domains with shell words', domains: ['a;reboot', '$(reboot)', "x'y"] },
    { name: 'a hundred domains', domains: Array.from({ length: 100 }, (_, n) => `d${n}.corp.example`) },
    { name: 'a name of 300 bytes', domains: [`${'long.'.repeat(60)}example`] },
    { name: 'the root and a wildcard', domains: ['.', '*', '~.', '~corp.example'] },
  ])('runs a VPN that pushes $name', async ({ domains }) => {
    await using closing = new AsyncDisposableStack();
    const network = await addNetwork(machine, { link: 'eth-v', ipv4: { prefix: '10.21.0' } });
    closing.defer(network.close);
    await machine.until(
      'grep -q "^nameserver 10.21.0.1" /run/dnskeeper/resolv.conf',
      'the network is in force',
    );
    const vpn = await addVpnServer(network, { domains });
    closing.defer(vpn.close);
    await addVpnProfile(machine, vpn, { name: 'lying', tunnel: 'full' });
    closing.defer(async () => void (await machine.run('nmcli connection delete lying')));
    // Whether the tunnel comes up with such words is for OpenVPN and its plugin.
    const up = await machine.run('nmcli connection up lying');
    if (up.code === 0) {
      await machine.until(
        `grep -q "^nameserver ${vpn.dns}" /run/dnskeeper/upstream.conf`,
        'the tunnel is in force',
      );
    }
    await expectHarmless();
  });

  async function expectHarmless(): Promise<void> {
    const text = await machine.readFile(ourFile);
    expect(Buffer.byteLength(text)).toBeLessThan(16_384);
    for (const line of text.split('\n').slice(0, -1)) {
      expect(line).toMatch(
        /^(#[ -~]*|nameserver [0-9a-f.:]+(%[a-z0-9-]+)?|search( [a-z0-9_.-]{1,253})+|options( [a-z0-9:-]+)+)$/,
      );
    }
    expect(text).not.toMatch(/^nameserver 192\.0\.2\.66/m);
    expect(text.match(/^nameserver/gm)?.length ?? 0).toBeLessThanOrEqual(3);
    const { status } = await statusOf(machine);
    expect(JSON.stringify(status)).not.toMatch(/\\u00(0[0-9a-f]|1[0-9a-f]|7f)/i);
    expect(status.link.state).toBe('held');
    expect(await machine.ok('systemctl show -P NRestarts dnskeeper')).toBe('0');
    expect((await machine.run('dnsctl status')).stdout).not.toMatch(/[^\n -~]/);
  }
});

function option(code: number, bytes: string): Partial<NetworkOptions> {
  return { rawDhcp: { [code]: bytes } };
}

function servers(...addresses: readonly string[]): Partial<NetworkOptions> {
  const bytes = addresses.flatMap((address) => address.split('.').map(Number));
  return option(6, String.fromCharCode(...bytes));
}
