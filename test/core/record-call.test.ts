import { describe, expect, test } from 'vitest';
import { type ResolvconfCall, readCall } from '../../src/core/record-call.ts';

const CALL: ResolvconfCall = {
  command: 'help',
  operands: [],
  force: false,
  private: false,
  nosearch: false,
  exclusive: false,
  root: '',
};

type Row = readonly [line: string, wanted: Partial<ResolvconfCall>];

describe.each<[string, readonly Row[]]>([
  [
    "openresolv's options in any order",
    [
      ['-a eth0', { command: 'a', operands: ['eth0'] }],
      ['-a wg0 -m 0 -x', { command: 'a', operands: ['wg0'], metric: '0', exclusive: true }],
      ['-m 0 -x -a tailscale', { command: 'a', operands: ['tailscale'], metric: '0', exclusive: true }],
      ['-x -a tun0.inet', { command: 'a', operands: ['tun0.inet'], exclusive: true }],
      ['-xa tun0.inet', { command: 'a', operands: ['tun0.inet'], exclusive: true }],
      ['-m10 -a eth0', { command: 'a', operands: ['eth0'], metric: '10' }],
      ['-p -a eth0', { command: 'a', operands: ['eth0'], private: true }],
      ['-pp -a eth0', { command: 'a', operands: ['eth0'], private: true, nosearch: true }],
      ['-p -p -a eth0', { command: 'a', operands: ['eth0'], private: true, nosearch: true }],
      ['-d wg0 -f', { command: 'd', operands: ['wg0'], force: true }],
      ['-f -d wg0', { command: 'd', operands: ['wg0'], force: true }],
      ['-fd wg0', { command: 'd', operands: ['wg0'], force: true }],
      ['-d eth0 eth1', { command: 'd', operands: ['eth0', 'eth1'] }],
      ['-C eth0.*', { command: 'C', operands: ['eth0.*'] }],
      ['-c eth0.*', { command: 'c', operands: ['eth0.*'] }],
      ['-i', { command: 'i' }],
      ['-Li', { command: 'Li' }],
      ['-iL', { command: 'Li' }],
      ['-l', { command: 'l' }],
      ['-l wg0', { command: 'l', operands: ['wg0'] }],
      ['-l eth0 wg0 -f', { command: 'l', operands: ['eth0', 'wg0'], force: true }],
      ['-L', { command: 'L' }],
      ['-p', { command: 'p', private: true }],
      ['-pp', { command: 'pp', private: true, nosearch: true }],
      ['-x', { command: 'x', exclusive: true }],
      ['-u', { command: 'u' }],
      ['-I', { command: 'I' }],
      ['-D /a/b /c/d', { command: 'D', operands: ['/a/b', '/c/d'] }],
      ['-r nscd', { command: 'r', operands: ['nscd'] }],
      ['-R', { command: 'R' }],
      ['-v', { command: 'v' }],
      ['-v eth0', { command: 'v', operands: ['eth0'] }],
      ['-V', { command: 'V' }],
      ['--version', { command: 'version' }],
      ['-h', { command: 'help' }],
      ['', { command: 'help' }],
    ],
  ],
  [
    "Debian's places and words",
    [
      ['-a eth0.dhclient', { command: 'a', operands: ['eth0.dhclient'] }],
      ['-d tun0.openvpn', { command: 'd', operands: ['tun0.openvpn'] }],
      ['-a tun.wg0 -m 0 -x', { command: 'a', operands: ['tun.wg0'], metric: '0', exclusive: true }],
      ['--list', { command: 'l' }],
      ['--enable-updates', { command: 'enable-updates' }],
      ['--disable-updates', { command: 'disable-updates' }],
      ['--updates-are-enabled', { command: 'updates-are-enabled' }],
      ['--help', { command: 'help' }],
    ],
  ],
  [
    "resolvectl's key at the end",
    [
      ['-a -m 0 -x wg0', { command: 'a', operands: ['wg0'], metric: '0', exclusive: true }],
      ['-ax wg0', { command: 'a', operands: ['wg0'], exclusive: true }],
      ['-d -f wg0', { command: 'd', operands: ['wg0'], force: true }],
      ['-a -- wg0', { command: 'a', operands: ['wg0'] }],
    ],
  ],
  [
    'our own',
    [
      ['--root /tmp/x -i', { command: 'i', root: '/tmp/x' }],
      ['--root=/tmp/x -i', { command: 'i', root: '/tmp/x' }],
      ['--root / -i', { command: 'i', root: '' }],
      ['-m five -a eth0', { command: 'a', operands: ['eth0'] }],
      ['-a eth0 -m -1', { command: 'a', operands: ['eth0'] }],
    ],
  ],
])('%s', (_, rows) => {
  test.each(rows)('%s', (line, wanted) => {
    const words = line.split(' ').filter((word) => word !== '');
    expect(readCall(words, {})).toEqual({ ...CALL, ...wanted });
  });
});

test.each([
  ['-a', 'wanted a key after -a, got none'],
  ['-d', 'wanted a key or a pattern after -d, got none'],
  ['-d -f', 'wanted a key or a pattern after -d, got none'],
  ['-C', 'wanted a pattern of keys after -C, got none'],
  ['-r', 'wanted a service after -r, got none'],
  ['-a eth0 -m', 'wanted a number after -m, got none'],
  ['-z', 'illegal option -z'],
  ['-s nscd restart', 'illegal option -s'],
  ['--frobnicate', 'illegal option "--frobnicate"'],
  ['--root', 'wanted an absolute folder after --root, got nothing'],
  ['--root here -i', 'wanted an absolute folder after --root, got "here"'],
])('%s is wrong', (line, wrong) => {
  expect(readCall(line.split(' '), {})).toEqual({ wrong });
});

test.each<[Readonly<Record<string, string>>, Partial<ResolvconfCall>]>([
  [{ IF_METRIC: '1002' }, { metric: '1002' }],
  [{ IF_METRIC: 'x' }, {}],
  [{ IF_METRIC: '' }, {}],
  [{ IF_EXCLUSIVE: '1' }, { exclusive: true }],
  [{ IF_EXCLUSIVE: 'Yes' }, { exclusive: true }],
  [{ IF_EXCLUSIVE: 'no' }, {}],
  [{ IF_PRIVATE: 'ON' }, { private: true }],
  [{ IF_NOSEARCH: 'true' }, { nosearch: true }],
])('the environment %j says the same as options', (env, wanted) => {
  expect(readCall(['-a', 'eth0'], env)).toEqual({ ...CALL, command: 'a', operands: ['eth0'], ...wanted });
});

test('an option goes before the environment', () => {
  expect(readCall(['-a', 'eth0', '-m', '5'], { IF_METRIC: '9' })).toMatchObject({ metric: '5' });
});
