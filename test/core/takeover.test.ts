import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answer, type Fight, isFighting, MOST_ASSERTIONS, nameRival, PEACE } from '../../src/core/fight.ts';
import {
  contested,
  decideLink,
  describe as describeFound,
  type Found,
  handBackTo,
  isOurs,
  type LinkFacts,
  refused,
} from '../../src/core/takeover.ts';
import { writerOfTarget, writerOfText } from '../../src/core/writer.ts';

const NOBODY = { header: '' };
const plain = (over: Partial<Extract<Found, { kind: 'file' }>> = {}): Found => ({
  kind: 'file',
  writer: NOBODY,
  names: 1,
  immutable: false,
  mounted: false,
  content: 'foreign',
  ...over,
});
const OURS: Found = { kind: 'our link' };
const STUB: Found = { kind: 'link', target: '../run/systemd/resolve/stub-resolv.conf', dangling: true };

const machine = (over: Partial<LinkFacts> = {}): LinkFacts => ({
  mode: 'system',
  takeover: 'auto',
  resolved: 'absent',
  released: false,
  published: true,
  found: plain(),
  ...over,
});

describe('who is in charge of /etc/resolv.conf', () => {
  it.each<[string, Partial<LinkFacts>, string, string, string]>([
    ['a plain file is taken', {}, 'link', 'held', 'dnskeeper'],
    ['nothing is taken', { found: { kind: 'missing' } }, 'link', 'held', 'dnskeeper'],
    ['a dangling link is taken', { found: STUB }, 'link', 'held', 'dnskeeper'],
    ['our link is kept', { found: OURS }, 'leave', 'held', 'dnskeeper'],
    ['a mounted file is written', { found: plain({ mounted: true }) }, 'write', 'bind-mount', 'dnskeeper'],
    [
      'a mounted file with an old text of ours is written',
      { found: plain({ mounted: true, content: 'ours' }) },
      'write',
      'bind-mount',
      'dnskeeper',
    ],
    [
      'a mounted file with our text is left',
      { found: plain({ mounted: true, content: 'current' }) },
      'leave',
      'bind-mount',
      'dnskeeper',
    ],
    [
      'an immutable file is left',
      { found: plain({ immutable: true }) },
      'leave',
      'publish-only',
      'the administrator (immutable file)',
    ],
    [
      'an immutable mounted file is left',
      { found: plain({ immutable: true, mounted: true }) },
      'leave',
      'publish-only',
      'the administrator (immutable file)',
    ],
    ['a folder is left', { found: { kind: 'folder' } }, 'leave', 'failed', 'nobody'],
    ['a device is left', { found: { kind: 'other' } }, 'leave', 'failed', 'nobody'],
    ['without /etc nothing is done', { found: { kind: 'no folder' } }, 'leave', 'failed', 'nobody'],
    ['user mode only looks', { mode: 'user', found: STUB }, 'leave', 'publish-only', 'systemd-resolved'],
    ['user mode leaves even our link', { mode: 'user', found: OURS }, 'leave', 'publish-only', 'dnskeeper'],
    ['takeover never only looks', { takeover: 'never' }, 'leave', 'publish-only', 'a hand-written file'],
    ['a released file is left', { released: true }, 'leave', 'released', 'a hand-written file'],
    [
      'a half-done release is finished',
      { released: true, found: OURS },
      'restore',
      'released',
      'the saved original',
    ],
    [
      'a release outlives takeover always',
      { released: true, takeover: 'always' },
      'leave',
      'released',
      'a hand-written file',
    ],
    ['an unknown resolved waits', { resolved: 'unknown' }, 'leave', 'unknown', 'a hand-written file'],
    [
      'an unknown resolved leaves our link',
      { resolved: 'unknown', found: OURS },
      'leave',
      'unknown',
      'dnskeeper',
    ],
    [
      'takeover always waits for nobody',
      { resolved: 'unknown', takeover: 'always' },
      'link',
      'held',
      'dnskeeper',
    ],
    [
      'a running resolved keeps its link',
      { resolved: 'running', found: STUB },
      'leave',
      'resolved',
      'systemd-resolved',
    ],
    [
      'a running resolved leaves foreign files',
      { resolved: 'running' },
      'leave',
      'resolved',
      'a hand-written file',
    ],
    [
      'a running resolved gets our link',
      { resolved: 'running', found: OURS },
      'hand back',
      'resolved',
      'systemd-resolved',
    ],
    [
      'a running resolved gets our mounted text',
      { resolved: 'running', found: plain({ mounted: true, content: 'ours' }) },
      'hand back',
      'resolved',
      'systemd-resolved',
    ],
    [
      'takeover always takes it from resolved',
      { resolved: 'running', takeover: 'always', found: STUB },
      'link',
      'held',
      'dnskeeper',
    ],
    [
      'no link leads to a file that is not there',
      { published: false },
      'leave',
      'unknown',
      'a hand-written file',
    ],
  ])('%s', (_, facts, act, state, inCharge) => {
    expect(decideLink(machine(facts))).toMatchObject({ act, state, inCharge });
  });

  const anyFound: fc.Arbitrary<Found> = fc.oneof(
    fc.constantFrom<Found>(
      { kind: 'missing' },
      { kind: 'no folder' },
      OURS,
      STUB,
      { kind: 'folder' },
      { kind: 'other' },
    ),
    fc.record({
      kind: fc.constant('file' as const),
      writer: fc.string().map((text) => writerOfText(`# ${text}`)),
      names: fc.integer({ min: 1, max: 5 }),
      immutable: fc.boolean(),
      mounted: fc.boolean(),
      content: fc.constantFrom('current' as const, 'ours' as const, 'foreign' as const),
    }),
  );
  const anyFacts: fc.Arbitrary<LinkFacts> = fc.record({
    mode: fc.constantFrom('system' as const, 'user' as const),
    takeover: fc.constantFrom('auto' as const, 'always' as const, 'never' as const),
    resolved: fc.constantFrom('unknown' as const, 'running' as const, 'absent' as const),
    released: fc.boolean(),
    published: fc.boolean(),
    found: anyFound,
  });

  it('holds for all facts: hands off where told so, no rename over mounts, flags or folders, a clean sentence always', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const { act, state, reason, inCharge } = decideLink(facts);
        if (facts.mode === 'user' || facts.takeover === 'never') expect(act).toBe('leave');
        if (facts.released) expect(['leave', 'restore']).toContain(act);
        if (act === 'link' || act === 'write') expect(facts.published).toBe(true);
        if (act === 'restore' || act === 'hand back') expect(isOurs(facts.found)).toBe(true);
        if (facts.found.kind === 'file' && (facts.found.mounted || facts.found.immutable))
          expect(act).not.toBe('link');
        if (facts.found.kind === 'file' && facts.found.immutable && !isOurs(facts.found))
          expect(act).toBe('leave');
        if (facts.found.kind === 'folder' || facts.found.kind === 'other') expect(act).toBe('leave');
        if (act === 'link') expect(state).toBe('held');
        expect(reason).toMatch(/^[ -~]{20,}$/);
        expect(inCharge).toMatch(/^[ -~]{3,40}$/);
      }),
    );
  });

  it.each([
    ['EROFS', plain(), 'publish-only', /read-only file system/],
    ['EROFS', plain({ mounted: true }), 'publish-only', /read-only mount/],
    ['EPERM', plain(), 'publish-only', /lsattr/],
    ['EACCES', plain(), 'publish-only', /AppArmor/],
    ['ENOSPC', plain(), 'failed', /no room/],
  ] as const)('a refusal with %s reads well', (code, found, state, words) => {
    expect(refused(code, 'no room', found)).toMatchObject({
      state,
      degraded: true,
      reason: expect.stringMatching(words),
    });
  });

  it('a quarrel names the other side and the way out', () => {
    expect(contested('dhclient', plain(), true).reason).toMatch(/dhclient .*dnsctl takeover/);
    expect(contested('dhclient', plain(), false)).toMatchObject({ state: 'fighting', inCharge: 'dnskeeper' });
  });
});

describe('what systemd-resolved gets back', () => {
  it.each([
    ['nothing saved: the stub link', 'none', 'stub link'],
    ['a link: itself', 'link', 'original'],
    [
      'a generated file: the stub link',
      { writer: writerOfText('# Generated by NetworkManager\n') },
      'stub link',
    ],
    [
      'a hand-written file: itself',
      { writer: writerOfText('# no NetworkManager here, please\n') },
      'original',
    ],
    [
      'the file that cloud-init wrote once: itself',
      { writer: writerOfText('# Created by cloud-init on instance boot automatically, do not edit.\n') },
      'original',
    ],
    ['a file without a word: itself', { writer: writerOfText('nameserver 1.1.1.1\n') }, 'original'],
  ] as const)('%s', (_, original, after) => {
    expect(handBackTo(original)).toBe(after);
  });
});

describe('a quarrel', () => {
  it('is bounded whatever happens, with pauses that never shrink', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (writes) => {
        let fight: Fight = PEACE;
        let assertions = 0;
        let last = 0;
        for (let i = 0; i < writes; i++) {
          const reply = answer(fight);
          fight = reply.fight;
          if (reply.do === 'yield') continue;
          expect(fight.yielded).toBe(false);
          expect(reply.afterMs).toBeGreaterThanOrEqual(last);
          last = reply.afterMs;
          assertions++;
        }
        expect(assertions).toBe(Math.min(writes, MOST_ASSERTIONS));
        expect(fight.yielded).toBe(writes > MOST_ASSERTIONS);
      }),
    );
  });

  it('is not worth a word after one foreign write', () => {
    const first = answer(PEACE);
    expect(isFighting(first.fight)).toBe(false);
    expect(isFighting(answer(first.fight).fight)).toBe(true);
  });

  it.each([
    [
      'a known header',
      plain({ writer: writerOfText('# Generated by dhcpcd\n') }),
      'dhcpcd (running and known to write it: pppd)',
    ],
    [
      'an unknown header',
      plain({ writer: writerOfText('; made by my script\n') }),
      'a writer that begins with "; made by my script" (running and known to write it: pppd)',
    ],
    [
      'an edit of our own file',
      plain({ writer: writerOfText('# Written by dnskeeper\n') }),
      'a writer that leaves no name (running and known to write it: pppd)',
    ],
    ['no header', plain(), 'a writer that leaves no name (running and known to write it: pppd)'],
    ['a known link', STUB, 'systemd-resolved (running and known to write it: pppd)'],
    [
      'an unknown link',
      { kind: 'link', target: '/x\u001b[1m', dangling: true } as const,
      'somebody who made a link to /x?[1m (running and known to write it: pppd)',
    ],
    [
      'a removal',
      { kind: 'missing' } as const,
      'somebody who removed it (running and known to write it: pppd)',
    ],
  ])('names the other side by %s', (_, found, name) => {
    expect(nameRival(found, ['pppd'])).toBe(name);
  });
});

describe('who wrote a file', () => {
  const OURS = '# Written by dnskeeper; changes made here are replaced.\nnameserver 192.0.2.1\n';

  it.each([
    ['# Generated by NetworkManager\nsearch x\n', 'NetworkManager'],
    [
      '# This is /run/systemd/resolve/stub-resolv.conf managed by man:systemd-resolved(8).\n# Do not edit.\n',
      'systemd-resolved',
    ],
    ['; generated by /usr/sbin/dhclient-script\n', 'dhclient'],
    ['# Generated by dhcpcd from eth0.dhcp\n', 'dhcpcd'],
    ['# Generated by resolvconf\n', 'resolvconf'],
    ['# Dynamic resolv.conf(5) file for glibc resolver(3) generated by resolvconf(8)\n', 'resolvconf'],
    ['# resolv.conf(5) file generated by tailscale\n', 'Tailscale'],
    ['# Generated by Connection Manager\n', 'ConnMan'],
    ['# Generated by Docker Engine.\n', 'Docker'],
    ['# This file was automatically generated by WSL. To stop\n', 'WSL'],
    ['# Written by dnskeeper; changes made here are replaced.\n', 'dnskeeper'],
    [
      "# Your system has been configured with 'manage-resolv-conf' set to true.\n# As a result, cloud-init has written this file with configuration data\n# that it has been provided. Cloud-init, by default, will write this file\n# a single time (PER_ONCE).\n#\n",
      'cloud-init',
    ],
    ['; Created by cloud-init automatically, do not edit.\n;\n', 'cloud-init'],
    [
      '#@VPNC_GENERATED@ -- this file is generated by vpnc\n# and will be overwritten by vpnc\n# as long as the above mark is intact\n',
      'vpnc-script',
    ],
    [`### openvpn tun0 begin ###\nnameserver 10.8.0.1\n### openvpn tun0 end ###\n${OURS}`, 'OpenVPN'],
    [`nameserver 10.0.0.1   # by strongSwan\n${OURS}`, 'strongSwan'],
    [
      '# Generated by NetBird\n# The original file can be restored from /etc/resolv.conf.original.netbird\n',
      'NetBird',
    ],
    ['# Generated by NordVPN\nnameserver 103.86.96.100\n', 'NordVPN'],
    ['# This file was generated by wg-quick(8) for use with\n# the WireGuard interface wg0.\n', 'wg-quick'],
    [
      '### /etc/resolv.conf is a symlink to /run/netconfig/resolv.conf\n### autogenerated by netconfig!\n',
      'netconfig',
    ],
    // What sed -i, vim and nano leave is our own text with something else in it.
    [`${OURS}nameserver 9.9.9.9\n`, 'dnskeeper'],
    // Cisco AnyConnect, GlobalProtect, F5, Mullvad, udhcpc, Debian's dhclient and pppd leave no name.
    ['domain corp.example\nnameserver 10.1.1.1\nsearch corp.example\n', undefined],
    ['\nnameserver 192.0.2.1 # eth0\n', undefined],
    ['# by hand, not by strong Swan\nsearch x\n', undefined],
    ['# I removed NetworkManager and dhclient from this machine\n', undefined],
    ['# Managed by Ansible\n', undefined],
    ['nameserver 1.1.1.1\n', undefined],
    ['', undefined],
  ])('%j', (text, program) => {
    expect(writerOfText(text).program).toBe(program);
  });

  it('is a clean and short word whatever the file holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), (text) => {
        expect(writerOfText(`#${text}`).header).toMatch(/^[ -~]{0,120}$/);
      }),
    );
  });

  it.each([
    ['../run/systemd/resolve/stub-resolv.conf', 'systemd-resolved'],
    ['/run/NetworkManager/resolv.conf', 'NetworkManager'],
    ['/etc/resolvconf/run/resolv.conf', 'resolvconf'],
    ['/mnt/wsl/resolv.conf', 'WSL'],
    ['/run/connman/resolv.conf', 'ConnMan'],
    ['/home/me/resolv.conf', undefined],
  ])('by link: %s', (target, program) => {
    expect(writerOfTarget(target)).toBe(program);
    expect(describeFound({ kind: 'link', target, dangling: false })).toBe(
      program ?? 'another program (a link)',
    );
  });
});
