import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suites } from './debian.ts';
import { bootMachine, type Machine } from './machine.ts';
import type { Network } from './network.ts';
import { installPackage } from './package.ts';
import { addPeerNetworks, recordPeer } from './standin-peer.ts';
import { COMMANDS, NEWER_COMMANDS } from './standin-peer-commands.ts';
import { comparable, DIFFERENCES } from './standin-peer-differences.ts';

/** The same commands on one machine: with systemd-resolved as Debian ships it, then with dnskeeper in its place. */
describe.each(suites)('dnskeeper beside systemd-resolved on %s', (suite) => {
  const groups = Object.entries(COMMANDS).map(([group, commands]) => ({
    group,
    commands: [...commands, ...(suite === 'bookworm' ? [] : (NEWER_COMMANDS[group] ?? []))],
  }));
  if (suite !== 'bookworm')
    groups.push({ group: 'varlink', commands: [...(NEWER_COMMANDS['varlink'] ?? [])] });
  const all = groups.flatMap(({ commands }) => commands);
  let machine: Machine;
  let networks: readonly Network[] = [];
  let theirs: ReadonlyMap<string, string>;
  let ours: ReadonlyMap<string, string>;

  beforeAll(async () => {
    machine = await bootMachine({ suite, name: `peer-${suite}` });
    await machine.writeFile(
      '/etc/NetworkManager/conf.d/lab.conf',
      '[main]\ndns=systemd-resolved\n[keyfile]\nunmanaged-devices=interface-name:eth-b\n',
    );
    await machine.writeFile(
      '/etc/systemd/resolved.conf.d/lab.conf',
      '[Resolve]\nLLMNR=no\nMulticastDNS=no\n',
    );
    await machine.ok(
      'ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf && ' +
        'echo 192.0.2.77 hosted.home.example hosted >> /etc/hosts && ' +
        'systemctl enable systemd-resolved && systemctl restart systemd-resolved NetworkManager',
    );
    networks = await addPeerNetworks(machine);
    const known =
      'resolvectl dns eth-a | grep -q 10.20.0.1 && resolvectl domain eth-a | grep -q home.example';
    await machine.until(known, 'systemd-resolved has the servers');
    theirs = await recordPeer(machine, all);
    await machine.ok('systemctl disable --now systemd-resolved');
    await installPackage(machine);
    await machine.until(known, 'dnskeeper has the servers');
    ours = await recordPeer(machine, all);
  });

  afterAll(async () => {
    for (const network of networks) await network.close();
    await machine?.destroy();
  });

  describe.each(groups)('$group', ({ commands }) => {
    test.each(commands)('%s', (command) => {
      const printed = (by: ReadonlyMap<string, string>): string =>
        comparable(command, suite, by.get(command) ?? 'never run');
      expect(printed(ours)).toBe(printed(theirs));
    });
  });

  test('every difference that is told shows', () => {
    const told = DIFFERENCES.filter((one) => (one.suite ?? suite) === suite);
    const shows = told.filter(({ commands }) =>
      all.some((command) => commands.test(command) && ours.get(command) !== theirs.get(command)),
    );
    expect(shows.map(({ because }) => because)).toEqual(
      told
        .filter(({ commands }) => all.some((command) => commands.test(command)))
        .map(({ because }) => because),
    );
  });
});
