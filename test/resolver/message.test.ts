import { decode, encode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { Domain } from '../../src/core/domain.ts';
import { fit as cut, forClient, responseTo } from '../../src/resolver/message.ts';
import { readQuery, readResponse } from '../../src/resolver/message-read.ts';
import { encodeName, RCODE, TYPE } from '../../src/resolver/wire.ts';
import { optionWire, type QueryWish, queryOf, queryWire } from '../support/query-wire.ts';

const address = Buffer.from([192, 0, 2, 1]);

describe('reading a query', () => {
  it('takes name, type and bits, and the name in lower case', () => {
    expect(queryOf({ flags: 0x0130, edns: { size: 4096, dnssecOk: true } })).toMatchObject({
      domain: 'www.example.org',
      name: encodeName('www.example.org' as Domain),
      type: TYPE.A,
      class: 1,
      recursionDesired: true,
      checkingDisabled: true,
      authenticData: true,
      dnssecOk: true,
      edns: { version: 0, udpSize: 4096, options: [] },
    });
  });

  it('does not mistake a dot inside a label for two labels', () => {
    const wire = queryWire({ name: 'abc.example' });
    wire[14] = 0x2e;
    const reading = readQuery(wire, 'udp', 'full');
    expect(reading).toMatchObject({ ok: true, value: { domain: undefined } });
  });

  const good = queryWire({ edns: {} });
  const twoOpts = Buffer.concat([good, good.subarray(good.length - 11)]);
  twoOpts[11] = 2;
  const changed = (at: number, ...bytes: number[]): Buffer => {
    const wire = Buffer.from(good);
    wire.set(bytes, at);
    return wire;
  };
  it.each<[string, Buffer, number | undefined]>([
    ['nothing', Buffer.alloc(0), undefined],
    ['eleven bytes', good.subarray(0, 11), undefined],
    ['a response', changed(2, 0x81), undefined],
    ['a notify', changed(2, 0x20), RCODE.NOTIMP],
    ['an update', changed(2, 0x28), RCODE.NOTIMP],
    ['no question', changed(4, 0, 0), RCODE.FORMERR],
    ['two questions', changed(4, 0, 2), RCODE.FORMERR],
    ['an answer in a query', changed(6, 0, 1), RCODE.FORMERR],
    ['a name that is a pointer to itself', changed(12, 0xc0, 12), RCODE.FORMERR],
    ['a reserved label type', changed(12, 0x40), RCODE.FORMERR],
    ['a cut question', good.subarray(0, 20), RCODE.FORMERR],
    ['bytes behind the end', Buffer.concat([good, Buffer.of(0)]), RCODE.FORMERR],
    ['two OPT records', twoOpts, RCODE.FORMERR],
    [
      'an option longer than its record',
      queryWire({ edns: { options: Buffer.of(0, 3, 0, 9) } }),
      RCODE.FORMERR,
    ],
    ['EDNS version 1', queryWire({ edns: { version: 1 } }), RCODE.BADVERS],
  ])('%s gets its code', (_, wire, rcode) => {
    const reading = readQuery(wire, 'udp', 'full');
    if (reading.ok) throw new Error('taken');
    expect(reading.rcode).toBe(rcode);
    expect(reading.response === undefined).toBe(rcode === undefined);
    if (reading.response === undefined) return;
    expect(reading.response.readUInt16BE(0)).toBe(wire.readUInt16BE(0));
    expect(reading.response.readUInt16BE(2) & 0x800f).toBe(0x8000 | ((rcode ?? 0) % 16));
    expect(reading.response.length).toBeLessThanOrEqual(wire.length);
  });
});

describe('an answer of our own', () => {
  it('keeps the spelling of the name and points at it', () => {
    const response = responseTo(queryOf(), { rcode: 0, answers: [{ type: TYPE.A, ttl: 60, data: address }] });
    expect(decode(response)).toMatchObject({
      id: 0xabcd,
      type: 'response',
      rcode: 'NOERROR',
      questions: [{ name: 'www.Example.org', type: 'A' }],
      answers: [{ name: 'www.Example.org', type: 'A', ttl: 60, data: '192.0.2.1' }],
    });
    expect(response.subarray(33, 35)).toEqual(Buffer.of(0xc0, 12));
  });

  it('points other names at the tail they share with the question', () => {
    const mail = encodeName('mail.example.org' as Domain);
    const asked = queryOf({ name: 'www.example.org' });
    const response = responseTo(asked, {
      rcode: 0,
      answers: [{ name: mail, type: TYPE.A, ttl: 0, data: address }],
    });
    expect(decode(response)).toMatchObject({ answers: [{ name: 'mail.example.org' }] });
    expect(response.length).toBe(33 + 5 + 2 + 10 + 4);
  });

  it('tells an extended error and the server name to clients that can hear it', () => {
    const said = { rcode: RCODE.SERVFAIL, ede: { code: 22, text: 'no servers' }, nsid: Buffer.from('me') };
    const heard = readResponse(responseTo(queryOf({ edns: { options: optionWire(3, '') } }), said));
    expect(heard).toMatchObject({
      value: { rcode: 2, extendedErrors: [{ code: 22, text: 'no servers' }], edns: { udpSize: 1232 } },
    });
    if (heard.ok) expect(heard.value.edns?.options[0]).toEqual({ code: 3, data: Buffer.from('me') });
    expect(readResponse(responseTo(queryOf(), said))).toMatchObject({ value: { edns: undefined } });
  });

  it('says AD only to clients that asked', () => {
    const flagsFor = (wish: QueryWish): number =>
      responseTo(queryOf(wish), { rcode: 0, authenticData: true }).readUInt16BE(2) & 0x20;
    expect([flagsFor({}), flagsFor({ flags: 0x0120 }), flagsFor({ edns: { dnssecOk: true } })]).toEqual([
      0, 32, 32,
    ]);
  });

  it('is cut to what the client takes, keeping its EDNS and error', () => {
    const answers = Array.from({ length: 100 }, () => ({ type: TYPE.A, ttl: 1, data: address }));
    for (const [wish, most] of [
      [{}, 512],
      [{ edns: { size: 1232 } }, 1232],
      [{ edns: { size: 10 } }, 512],
    ] as const) {
      const asked = queryOf(wish);
      const short = cut(asked, responseTo(asked, { rcode: 0, answers, ede: { code: 4 } }));
      expect(short.length).toBeLessThanOrEqual(most);
      const facts = readResponse(short);
      expect(facts).toMatchObject({ ok: true, value: { truncated: true } });
      if (facts.ok) expect(facts.value.edns?.options.length).toBe('edns' in wish ? 1 : undefined);
    }
    const overTcp = queryOf({}, 'tcp');
    const whole = responseTo(overTcp, { rcode: 0, answers });
    expect(cut(overTcp, whole)).toBe(whole);
  });
});

describe('reading a response', () => {
  const soa = { mname: 'ns.example', rname: 'root.example', serial: 1, refresh: 2, retry: 3, expire: 4 };
  const response = (parts: object): Buffer =>
    encode({
      type: 'response',
      id: 7,
      flags: 0x0180,
      questions: [{ type: 'A', name: 'a.example' }],
      ...parts,
    });
  const facts = (parts: object) => {
    const reading = readResponse(response(parts));
    if (!reading.ok) throw new Error(reading.reason);
    return reading.value;
  };

  it('follows aliases to the name that matters, and no circle', () => {
    const answers = [
      { type: 'CNAME', name: 'B.example', ttl: 30, data: 'c.example' },
      { type: 'CNAME', name: 'A.example', ttl: 60, data: 'b.example' },
    ];
    const chain = facts({ answers });
    expect(chain.aliases).toEqual([encodeName('b.example' as Domain), encodeName('c.example' as Domain)]);
    expect([chain.kind, chain.ttl]).toEqual(['nodata', undefined]);
    const whole = facts({
      answers: [...answers, { type: 'A', name: 'c.example', ttl: 9, data: '192.0.2.1' }],
    });
    expect([whole.kind, whole.ttl]).toEqual(['positive', 9]);
    const circle = facts({
      answers: [...answers, { type: 'CNAME', name: 'c.example', ttl: 1, data: 'b.example' }],
    });
    expect(circle.aliases).toHaveLength(2);
  });

  it.each([
    ['the SOA has the shorter TTL', 30, 300, 30],
    ['the SOA has the shorter minimum', 300, 30, 30],
  ])('keeps a negative answer as long as RFC 2308 says: %s', (_, ttl, minimum, expected) => {
    const authorities = [{ type: 'SOA', name: 'example', ttl, data: { ...soa, minimum } }];
    expect(facts({ authorities })).toMatchObject({ kind: 'nodata', ttl: expected });
    expect(facts({ authorities, flags: 0x0183 })).toMatchObject({ kind: 'nxdomain', ttl: expected });
    expect(facts({ flags: 0x0183 })).toMatchObject({ kind: 'nxdomain', ttl: undefined });
  });

  it('refuses pointers that lead forward, and names that grow beyond 255 bytes', () => {
    const wire = response({ answers: [{ type: 'A', name: 'a.example', ttl: 1, data: '192.0.2.1' }] });
    const owner = Buffer.concat([wire.subarray(0, 27), Buffer.of(0xc0, 40), wire.subarray(38)]);
    expect(readResponse(owner).ok).toBe(false);
    owner[28] = 12;
    expect(readResponse(owner).ok).toBe(true);
  });

  it('is made the client’s: id, spelling, bits and EDNS, with options of neighbours left out', () => {
    const wire = response({
      flags: 0x01a0,
      answers: [{ type: 'A', name: 'a.example', ttl: 5, data: '192.0.2.1' }],
      additionals: [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: 4096,
          options: [
            { code: 10, data: Buffer.alloc(16) },
            { code: 65001, data: Buffer.from('x') },
          ],
        },
      ],
    });
    const reading = readResponse(wire);
    if (!reading.ok) throw new Error(reading.reason);
    const plain = forClient(queryOf({ name: 'A.eXample' }), reading.value);
    expect(decode(plain)).toMatchObject({
      id: 0xabcd,
      flags: 0x0180,
      questions: [{ name: 'A.eXample' }],
      additionals: [],
    });
    const full = readResponse(
      forClient(queryOf({ name: 'A.eXample', edns: { dnssecOk: true } }), reading.value),
    );
    expect(full).toMatchObject({ value: { authenticData: true, edns: { udpSize: 1232, dnssecOk: true } } });
    if (full.ok) expect(full.value.edns?.options).toEqual([{ code: 65001, data: Buffer.from('x') }]);
    expect(() => forClient(queryOf({ name: 'b.example' }), reading.value)).toThrow(
      'a response for b.example',
    );
  });
});
