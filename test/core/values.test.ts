import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contains, formatAddress, parseAddress, parsePrefix } from '../../src/core/address.ts';
import { isWithin, labelCount, parentOf, parseDomain, ROOT } from '../../src/core/domain.ts';
import { formatOption, parseOption } from '../../src/core/resolv-option.ts';
import { formatServer, isPlain, parseServer } from '../../src/core/server.ts';
import { ascii, editDistance, printable } from '../../src/core/text.ts';

const show = <T>(
  result: { ok: true; value: T } | { ok: false },
  format: (value: T) => string,
): string | undefined => (result.ok ? format(result.value) : undefined);

describe('addresses', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['010.0.0.1', undefined],
    ['1', undefined],
    ['1.2.3', undefined],
    ['1.2.3.256', undefined],
    ['1.2.3.4 ', undefined],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::2::3', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['12345::', undefined],
    ['fe80::1%eth0', undefined],
    ['::1.2.3.4', '::102:304'],
  ])('%s is read as %s', (text, wanted) => {
    expect(show(parseAddress(text), formatAddress)).toBe(wanted);
  });

  it('format and parse are inverse for any bytes', () => {
    const bytes = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }),
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(bytes, (raw) => {
        const text = formatAddress({ family: raw.length === 4 ? 4 : 6, bytes: raw, kind: 'unicast' });
        const again = parseAddress(text);
        expect(again.ok && formatAddress(again.value)).toBe(
          raw.length === 16 &&
            text.startsWith('::ffff:') &&
            raw.slice(0, 10).every((b) => b === 0) &&
            raw[10] === 255
            ? raw.slice(12).join('.')
            : text,
        );
      }),
    );
  });

  it.each([
    ['10.0.0.0/8', '10.200.1.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['192.0.2.128/25', '192.0.2.200', true],
    ['192.0.2.128/25', '192.0.2.100', false],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['0.0.0.0/0', '203.0.113.1', true],
    ['0.0.0.0/0', '::1', false],
  ])('%s holds %s: %s', (range, address, wanted) => {
    const [prefix, inner] = [parsePrefix(range), parseAddress(address)];
    expect(prefix.ok && inner.ok && contains(prefix.value, inner.value)).toBe(wanted);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', 'x/8'])('%s is no prefix', (text) => {
    expect(parsePrefix(text).ok).toBe(false);
  });
});

describe('domains', () => {
  it.each([
    ['Example.COM.', 'example.com'],
    ['.', '.'],
    ['_sip._tcp.example', '_sip._tcp.example'],
    ['', undefined],
    ['.example', undefined],
    ['a..b', undefined],
    ['a b', undefined],
    ['a\nnameserver 6.6.6.6', undefined],
    ['bücher.example', undefined],
    ['"quoted"', undefined],
    [`${'a'.repeat(64)}.example`, undefined],
    [`${'a.'.repeat(126)}aa`, undefined],
    [`${'a.'.repeat(126)}a`, `${'a.'.repeat(126)}a`],
  ])('%j is read as %j', (text, wanted) => {
    expect(show(parseDomain(text), String)).toBe(wanted);
  });

  it('knows what stands below what', () => {
    const [corp, host, other] = ['corp.example', 'a.corp.example', 'notcorp.example'].map((text) => {
      const domain = parseDomain(text);
      if (!domain.ok) throw new Error(domain.reason);
      return domain.value;
    }) as [never, never, never];
    expect([
      isWithin(host, corp),
      isWithin(corp, corp),
      isWithin(other, corp),
      isWithin(other, ROOT),
    ]).toEqual([true, true, false, true]);
    expect([parentOf(host), parentOf(ROOT), labelCount(host), labelCount(ROOT)]).toEqual([
      corp,
      undefined,
      3,
      0,
    ]);
  });
});

describe('servers in the syntax of NetworkManager', () => {
  it.each([
    ['192.0.2.53', '192.0.2.53'],
    ['192.0.2.53#dns.example', '192.0.2.53#dns.example'],
    ['dns+udp://192.0.2.53', '192.0.2.53'],
    ['dns+udp://192.0.2.53:5353', 'dns+udp://192.0.2.53:5353'],
    ['dns+tls://192.0.2.53', 'dns+tls://192.0.2.53:853'],
    ['dns+tls://[2001:db8::53]:8853#dns.example', 'dns+tls://[2001:db8::53]:8853#dns.example'],
    ['dns+tls://[fe80::1%eth0]', 'dns+tls://[fe80::1%eth0]:853'],
    ['fe80::1', 'fe80::1%wlan0'],
    ['::ffff:192.0.2.53', '192.0.2.53'],
    ['192.0.2.53:53', undefined],
    ['[2001:db8::53]:53', undefined],
    ['2001:db8::53%eth0', undefined],
    ['https://192.0.2.53', undefined],
    ['192.0.2.53#', undefined],
    ['dns+udp://192.0.2.53#dns.example', undefined],
    ['dns+tls://192.0.2.53:0', undefined],
    ['dns+tls://192.0.2.53:65536', undefined],
    ['0.0.0.0', undefined],
    ['::', undefined],
    ['224.0.0.1', undefined],
    ['255.255.255.255', undefined],
    ['ff02::fb', undefined],
    ['192.0.2.53\noptions trust-ad', undefined],
  ])('%j is read as %j', (text, wanted) => {
    expect(show(parseServer(text, 'wlan0'), formatServer)).toBe(wanted);
  });

  it('a link-local address without a link is refused', () => {
    expect(parseServer('fe80::1').ok).toBe(false);
  });

  it('what is formatted is read back as the same server', () => {
    const server = fc.tuple(fc.ipV4(), fc.option(fc.integer({ min: 1, max: 65535 })), fc.boolean());
    fc.assert(
      fc.property(server, ([address, port, tls]) => {
        const first = parseServer(
          `dns+${tls ? 'tls' : 'udp'}://${address}${port === null ? '' : `:${port}`}`,
        );
        if (!first.ok) return;
        expect(parseServer(formatServer(first.value))).toEqual(first);
        expect(isPlain(first.value)).toBe(!tls && (port ?? 53) === 53);
      }),
    );
  });
});

describe('options of resolv.conf(5)', () => {
  it.each([
    ['edns0', 'edns0'],
    ['ndots:2', 'ndots:2'],
    ['ndots:99', 'ndots:15'],
    ['timeout:0', 'timeout:0'],
    ['attempts:9', 'attempts:5'],
    ['ndots', undefined],
    ['edns0:1', undefined],
    ['nonsense', undefined],
    ['constructor', undefined],
    ['constructor:1', undefined],
    ['edns0 rotate', undefined],
    ['ndots:-1', undefined],
    ['rotate\nnameserver 6.6.6.6', undefined],
  ])('%j is read as %j', (text, wanted) => {
    expect(show(parseOption(text), formatOption)).toBe(wanted);
  });
});

describe('text for people', () => {
  it.each([
    ['plain', 'plain'],
    ['two\nlines', 'two?lines'],
    ['\u001b[31mred', '?[31mred'],
    ['right\u202Eleft', 'right?left'],
    ['Büro', 'Büro'],
  ])('%j becomes %j', (raw, wanted) => {
    expect(printable(raw)).toBe(wanted);
  });

  it('is cut, and for files it is ASCII', () => {
    expect(printable('a'.repeat(100), 10)).toBe('aaaaaaa...');
    expect(ascii('Büro')).toBe('B?ro');
  });

  it('counts edits', () => {
    expect([
      editDistance('takeover', 'takover'),
      editDistance('', 'abc'),
      editDistance('abc', 'abc'),
    ]).toEqual([1, 3, 0]);
  });
});
