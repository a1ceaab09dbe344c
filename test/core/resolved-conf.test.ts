import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, readConfig } from '../../src/core/config.ts';
import { configurationEntry } from '../../src/core/entries.ts';
import { makePlan } from '../../src/core/policy.ts';
import { readResolvedConf } from '../../src/core/resolved-conf.ts';
import { formatServer } from '../../src/core/server.ts';
import { link, snapshotOf } from '../support/links.ts';

const read = (...texts: string[]) =>
  readResolvedConf(texts.map((text, at) => ({ file: `/etc/${at}.conf`, text: `[Resolve]\n${text}` })));

const servers = (...texts: string[]) => read(...texts).settings.servers?.map(formatServer);

describe('resolved.conf', () => {
  it.each([
    ['DNS=192.0.2.1 192.0.2.2', ['192.0.2.1', '192.0.2.2']],
    ['DNS=192.0.2.1#dns.example', ['192.0.2.1#dns.example']],
    ['DNS=192.0.2.1:5353', ['dns+udp://192.0.2.1:5353']],
    ['DNS=192.0.2.1:53 192.0.2.2:853', ['192.0.2.1', '192.0.2.2']],
    ['DNS=2001:db8::1', ['2001:db8::1']],
    ['DNS=[2001:db8::1]:5353#dns.example', ['dns+udp://[2001:db8::1]:5353#dns.example']],
    ['DNS=fe80::1%eth0', ['fe80::1%eth0']],
    ['DNS=192.0.2.1%tun0', ['dns+udp://192.0.2.1%tun0:53']],
    ['DNS=192.0.2.1 192.0.2.1', ['192.0.2.1']],
  ])('%s names these servers', (text, wanted) => {
    expect(servers(text)).toEqual(wanted);
    expect(read(text).problems).toEqual([]);
  });

  it.each([
    ['DNS=dns.example', 'DNS', /no IP address/],
    ['DNS=192.0.2.1:0', 'DNS', /a port outside/],
    ['DNS=192.0.2.1:99999', 'DNS', /a port outside/],
    ['DNS=0.0.0.0', 'DNS', /no server has/],
    ['DNS=fe80::1', 'DNS', /without the link/],
    ['DNS=127.0.0.53', 'DNS', /ask itself/],
    ['DNS=127.0.0.54:53', 'DNS', /ask itself/],
    ['FallbackDNS=nonsense', 'FallbackDNS', /no IP address/],
    ['DNS=192.0.2.1%a/b', 'DNS', /no interface name/],
    ['Domains=a..b', 'Domains', /"a\.\.b"/],
    ['DNSOverTLS=maybe', 'DNSOverTLS', /"maybe"/],
    ['Cache=negative', 'Cache', /"negative"/],
    ['CacheFromLocalhost=x', 'CacheFromLocalhost', /"x"/],
    ['DNSStubListener=both', 'DNSStubListener', /"both"/],
    ['DNSStubListenerExtra=0.0.0.0', 'DNSStubListenerExtra', /stands for all/],
    ['ReadEtcHosts=2', 'ReadEtcHosts', /"2"/],
    ['StaleRetentionSec=soon', 'StaleRetentionSec', /"soon"/],
    ['RefuseRecordTypes=AAAB', 'RefuseRecordTypes', /no record type/],
    ['DSN=192.0.2.1', 'DSN', /an unknown one/],
    // Every object of the language knows these words.
    ['constructor=x', 'constructor', /an unknown one/],
    ['hasOwnProperty=x', 'hasOwnProperty', /an unknown one/],
    ['__proto__=x', '__proto__', /an unknown one/],
  ])('%s is told with file, line and what was got, and the rest counts', (text, key, got) => {
    const { problems, settings } = read(`${text}\nResolveUnicastSingleLabel=yes`);
    expect(problems).toEqual([
      { file: '/etc/0.conf', line: 2, key, wanted: expect.any(String), got: expect.stringMatching(got) },
    ]);
    expect(settings.singleLabels).toBe(true);
  });

  it('one bad word of a list costs that word alone', () => {
    const { settings, problems } = read('DNS=192.0.2.1 x 192.0.2.2');
    expect(settings.servers?.map(formatServer)).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(problems).toHaveLength(1);
  });

  it.each([
    ['DNSOverTLS=opportunistic', { dnsOverTls: 'opportunistic' }],
    ['DNSOverTLS=on', { dnsOverTls: 'yes' }],
    ['Cache=no-negative', { cache: 'no-negative' }],
    ['Cache=0', { cache: 'no' }],
    ['CacheFromLocalhost=no', { cacheFromLocalhost: false }],
    ['DNSStubListener=udp', { stub: 'udp' }],
    ['DNSStubListener=false', { stub: 'no' }],
    ['ReadEtcHosts=no', { hosts: false }],
    ['StaleRetentionSec=1h 30min', { staleMs: 5_400_000 }],
    ['StaleRetentionSec=infinity', { staleMs: 604_800_000 }],
    ['RefuseRecordTypes=AAAA HTTPS', { refuseRecordTypes: [28, 65] }],
    ['FallbackDNS=', { fallback: [] }],
    ['Cache=no\nCache=', {}],
    ['X-Note=anything', {}],
    [
      'Domains=home.example ~corp.example ~. *',
      {
        search: [
          { domain: 'home.example', routingOnly: false },
          { domain: 'corp.example', routingOnly: true },
          { domain: '.', routingOnly: true },
        ],
      },
    ],
  ])('%j is understood', (text, wanted) => {
    expect(read(text)).toEqual({ settings: wanted, problems: [], unsupported: [] });
  });

  it('takes further addresses to listen on', () => {
    expect(read('DNSStubListenerExtra=udp:192.0.2.1:5353').settings.listenAlso).toMatchObject([
      { port: 5353, transport: 'udp' },
    ]);
  });

  it('lists grow from file to file, and an empty assignment empties them', () => {
    expect(servers('DNS=192.0.2.1', 'DNS=192.0.2.2')).toEqual(['192.0.2.1', '192.0.2.2']);
    expect(servers('DNS=192.0.2.1', 'DNS=\nDNS=192.0.2.2')).toEqual(['192.0.2.2']);
  });

  it('the plan names the file of each server', () => {
    const { settings } = read('DNS=192.0.2.1', 'DNS=192.0.2.2');
    const plan = makePlan({}, { ...DEFAULT_CONFIG, ...settings });
    expect(plan.nameservers.map(({ origin }) => origin.file)).toEqual(['/etc/0.conf', '/etc/1.conf']);
    expect(plan.links.flatMap((link) => link.servers.map(({ origin }) => origin.file))).toEqual([
      '/etc/0.conf',
      '/etc/1.conf',
    ]);
    expect(configurationEntry({ ...DEFAULT_CONFIG, ...settings })?.servers).toHaveLength(2);
  });

  it('its servers are asked together with those of links, as systemd-resolved does', () => {
    const { settings } = read('DNS=192.0.2.1');
    const home = snapshotOf([link({ interface: 'eth0', servers: ['192.0.2.9'] })]);
    const { config } = readConfig([], settings);
    const all = makePlan(home, config).routes.filter(({ domain }) => domain === '.');
    expect(all.map(({ link: key }) => key).toSorted()).toEqual(['configuration', 'eth0']);
    const own = { file: 'f', text: '', values: { dns: { servers: ['192.0.2.7'] } } };
    expect(readConfig([own], settings).config.priority, 'our own stand where they always do').toBe(
      DEFAULT_CONFIG.priority,
    );
  });

  it('a server that is to be asked through a link is nothing that a plain file can say', () => {
    const { settings } = read('DNS=192.0.2.1%tun0');
    const plan = makePlan({}, { ...DEFAULT_CONFIG, ...settings });
    expect(plan.nameservers).toEqual([]);
    expect(plan.inexpressible).toEqual(['dns+udp://192.0.2.1%tun0:53 needs a link.']);
  });

  it.each([
    ['DNSSEC=yes', ['warning']],
    ['DNSSEC=allow-downgrade', ['note']],
    ['DNSSEC=no', []],
    ['MulticastDNS=yes', ['note']],
    ['MulticastDNS=resolve', ['note']],
    ['MulticastDNS=no', []],
    ['LLMNR=yes', ['note']],
    ['LLMNR=yes\nLLMNR=no', []],
    ['ReadStaticRecords=yes', ['note']],
    ['DNSCacheSize=100', ['note']],
  ])('%s, which is not supported, is told as %j', (text, severities) => {
    const { unsupported, problems } = read(text);
    expect(unsupported.map(({ severity }) => severity)).toEqual(severities);
    for (const { text: told } of unsupported) expect(told).toMatch(/^\/etc\/0\.conf:2: /);
    expect(problems).toEqual([]);
  });

  it('another section is told once', () => {
    const { problems } = readResolvedConf([{ file: 'f', text: '[Network]\nDNS=192.0.2.1\nDNS=192.0.2.2' }]);
    expect(problems).toEqual([{ file: 'f', line: 2, wanted: 'the section [Resolve]', got: '[Network]' }]);
  });

  it('has bounds', () => {
    const many = Array.from({ length: 300 }, (_, at) => `192.0.${at >> 8}.${at & 255}`).join(' ');
    const { settings, problems } = read(`DNS=${many}`);
    expect(settings.servers).toHaveLength(256);
    expect(problems.length).toBeLessThanOrEqual(64);
  });

  it('whatever stands in it, nothing is thrown and no raw text goes further', () => {
    const line = fc.tuple(
      fc.constantFrom(
        'DNS',
        'FallbackDNS',
        'Domains',
        'DNSStubListenerExtra',
        'StaleRetentionSec',
        'LLMNR',
        'x',
      ),
      fc.string({ unit: 'binary', maxLength: 60 }),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        const { settings, problems, unsupported } = read(lines.map(([k, v]) => `${k}=${v}`).join('\n'));
        makePlan({}, { ...DEFAULT_CONFIG, ...settings });
        for (const { got, key = '' } of problems) expect(`${got}${key}`).toMatch(/^[ -~]*$/);
        for (const { text } of unsupported) expect(text).toMatch(/^[ -~]*$/);
      }),
    );
  });
});
