import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { extendedPattern } from '../../src/core/extended-pattern.ts';
import { bareEnvironment } from '../support/bare-environment.ts';

/** Debian's own file has these. */
const KEYS = [
  'lo',
  'lo.inet',
  'lo.dnsmasq',
  'lo.pdns',
  'lo.pdns-recursor',
  'lo.unbound',
  'tun0',
  'tun.wg0',
  'em1',
  'em1_2',
  'p1p1',
  'p1p1_3',
  'px',
  'enp3s0',
  'enp3s0.inet',
  'enp3s0.dhclient',
  'eth0.ip6.dhclient',
  'br0',
  'xeth0',
  'wlan0.udhcpc',
  'wlp2s0',
  '000.rdnssd',
];

const PATTERNS = [
  'lo.@(dnsmasq|pdnsd)',
  'lo.!(pdns|pdns-recursor)',
  'em+([0-9])?(_+([0-9]))*',
  'p+([0-9])p+([0-9])?(_+([0-9]))*',
  'en+([bcosxpP])*([^.]).inet6',
  'en+([bcosxpP])*([^.]).@(dhclient|dhcpcd|pump|udhcpc)',
  'en+([bcosxpP])*',
  '@(br|eth)*([^.]).ip6.@(dhclient|dhcpcd|pump|udhcpc)',
  '@(br|eth)*',
  '@(ath|wifi|wlan)*([^.]).@(dhclient|dhcpcd|pump|udhcpc)',
  'tun*',
  '!(lo|tun*)',
  '!(*.*)',
  '*(e|n|p|[0-9]|s)',
  '?(x)eth0',
  '@(lo',
  'lo)',
  '+(lo|.|@(inet|pdns))',
  '@()lo',
  '?[a-m]*',
  '\\lo',
];

describe('a pattern', () => {
  test.each(PATTERNS)('%s means what it means to bash', (pattern) => {
    const script =
      'shopt -s extglob; pattern=$1; shift; for key; do [[ $key == $pattern ]] && echo "$key"; done; true';
    const said = execFileSync('bash', ['-c', script, 'bash', pattern, ...KEYS], {
      encoding: 'utf8',
      env: bareEnvironment,
    });
    expect(KEYS.filter(extendedPattern(pattern))).toEqual(said.split('\n').filter((key) => key !== ''));
  });

  test.each([
    ['of groups within groups', `${'+('.repeat(60)}a${')'.repeat(60)}b`, 'a'.repeat(250)],
    ['of what is not within what is not', `${'!('.repeat(60)}a${')'.repeat(60)}b`, 'a'.repeat(250)],
    ['of many stars in a group', `+(${'*a'.repeat(100)})b`, 'a'.repeat(250)],
    ['that is longer than any', 'a'.repeat(1000), 'a'.repeat(1000)],
  ])('%s ends all the same, and means nothing', (_, pattern, text) => {
    expect(extendedPattern(pattern)(text)).toBe(false);
  });

  test('of groups that never end is read as plain text', () => {
    expect(extendedPattern('@('.repeat(120))('@('.repeat(120))).toBe(true);
    expect(extendedPattern(`${'@('.repeat(100)}a)`)(`${'@('.repeat(99)}a`)).toBe(true);
  });
});
