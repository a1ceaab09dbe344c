import { encode } from 'dns-packet';
import { describe, expect, test } from 'vitest';
import { recordTypeName, recordTypeNumber } from '../../src/core/dns-parameters.ts';
import { readResponse } from '../../src/resolver/message-read.ts';
import { recordText } from '../../src/resolver/record-text.ts';

/** The text of the one record of a response with this data, made by hand. */
function textOf(type: number, data: Buffer): string | undefined {
  const head = Buffer.from([0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  const question = Buffer.from([1, 0x61, 0, type >> 8, type & 255, 0, 1]);
  const record = Buffer.from([0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 0, 60, 0, 0]);
  record.writeUInt16BE(data.length, 10);
  const wire = Buffer.concat([head, question, record, data]);
  const read = readResponse(wire);
  if (!read.ok) throw new Error(read.reason);
  return read.value.records.map((each) => recordText(wire, each))[0];
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('the text of a record', () => {
  test.each([
    ['A', '7f000001', '127.0.0.1'],
    ['AAAA', '20010db8000000000000000000000053', '2001:db8::53'],
    ['MX', '000a 026d78 00', '10 mx'],
    ['SRV', '0001 0002 01bb 0178 00', '1 2 443 x'],
    ['SOA', '026e73 00 0172 00 00000001 00000e10 00000258 00015180 0000003c', 'ns r 1 3600 600 86400 60'],
    ['TXT', '0568656c6c6f 03612262', '"hello" "a\\"b"'],
    ['CAA', '00 05 6973737565 6c652e6578616d706c65', '0 "issue" "le.example"'],
    ['DS', '3039 0d 02 abcd', '12345 13 2 ABCD'],
    ['DNSKEY', '0101 03 0d 010203', '257 3 13 AQID'],
    ['SSHFP', '04 02 00ff', '4 2 00FF'],
    ['NSEC', '0162 00 00 06 400000080003', 'b A AAAA RRSIG NSEC'],
    ['NSEC3', '01 00 0005 00 02 0102 00 01 40', '1 0 5 - 0410 A'],
    [
      'RRSIG',
      '0001 0d 02 00000e10 673f0000 67300000 3039 0165 00 aabb',
      'A 13 2 3600 20241121094016 20241110003616 12345 e qrs=',
    ],
    ['HTTPS', '0001 00 0001 0007 02683203 683033', '1 . alpn=h2,h03'],
    ['HTTPS', '0001 00 0008 0000 0009 0000', '1 . ohttp key9'],
    [
      'SVCB',
      '0002 0178 00 0003 0002 01bb 0004 0004 c0000201 0002 0000 ffff 0001 41',
      '2 x port=443 ipv4hint=192.0.2.1 no-default-alpn key65535="A"',
    ],
    ['NAPTR', '0001 0002 0155 0145 00 00', '1 2 "U" "E" "" .'],
    ['TYPE65280', '0102', '\\# 2 0102'],
  ])('%s of %s', (type, data, text) => {
    expect(textOf(recordTypeNumber(type) ?? 0, hex(data))).toBe(`a 60 ${type} ${text}`);
  });

  test.each([
    ['A', '7f0000'],
    ['MX', '000a'],
    ['SOA', '00 00 0000'],
    ['TXT', '05 68'],
    ['NSEC', '00 00 09 40'],
    ['HTTPS', '0001 00 0001 0009 02'],
    ['SRV', '000100020003 00 ff'],
  ])('%s that is cut off or too long is shown as bytes', (type, data) => {
    const bytes = hex(data);
    const shown = `a 60 ${type} \\# ${bytes.length} ${bytes.toString('hex')}`;
    expect(textOf(recordTypeNumber(type) ?? 0, bytes)).toBe(shown);
  });

  test('no byte of a server steers a terminal, and nothing grows without bound', () => {
    expect(textOf(16, Buffer.concat([Buffer.of(8), Buffer.from('\u001b]0;x\u0007\n')]))).toMatch(/^[ -~]+$/);
    expect(textOf(65280, Buffer.alloc(60_000))?.length).toBeLessThan(1200);
  });

  test('any bytes as the data of any type give a text', () => {
    let seed = 7;
    const next = (): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed >> 8;
    };
    for (let round = 0; round < 3000; round++) {
      const data = Buffer.from(Array.from({ length: next() % 40 }, () => next() & 255));
      const type = next() % 260;
      // An OPT record is no data of a name.
      if (type !== 41) expect(textOf(type, data)).toMatch(/^[ -~]*$/);
    }
  });

  test('agrees with another encoder about names that are compressed', () => {
    const wire = encode({
      type: 'response',
      id: 1,
      flags: 0,
      questions: [{ type: 'MX', name: 'a.example' }],
      answers: [{ type: 'MX', name: 'a.example', ttl: 7, data: { preference: 5, exchange: 'mx.a.example' } }],
    });
    const read = readResponse(Buffer.from(wire));
    expect(read.ok && recordText(read.value.wire, read.value.records[0] as never)).toBe(
      'a.example 7 MX 5 mx.a.example',
    );
  });
});

describe('the names of record types', () => {
  test.each([
    ['a', 1],
    ['HTTPS', 65],
    ['type65', 65],
    ['TYPE65535', 65535],
    ['TYPE65536', undefined],
    ['TYPE', undefined],
    ['constructor', undefined],
    ['', undefined],
  ])('%j', (text, number) => {
    expect(recordTypeNumber(text)).toBe(number);
  });

  test('a type without a name is told by its number', () => {
    expect([recordTypeName(28), recordTypeName(1234)]).toEqual(['AAAA', 'TYPE1234']);
  });
});
