import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recordData } from '../../src/standin/record-data.ts';

/** `a.example` with this data, as it is on the wire. */
const wire = (type: number, data: string): Uint8Array => {
  const bytes = Buffer.from(data, 'hex');
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt16BE(bytes.length, 8);
  return Buffer.concat([Buffer.from('\x01a\x07example\0', 'latin1'), fixed, bytes]);
};

const NAME = '036e7331076578616d706c6500';

// What systemd 257 says of the same bytes; the lab asks it.
test.each<[string, number, string, Readonly<Record<string, unknown>>]>([
  ['MX', 15, `000a${NAME}`, { priority: 10, exchange: 'ns1.example' }],
  [
    'SOA',
    6,
    `${NAME}00${'00000001'}${'00000002'}${'00000003'}${'00000004'}${'00000005'}`,
    { mname: 'ns1.example', rname: '', serial: 1, refresh: 2, expire: 4, minimum: 5 },
  ],
  ['HINFO', 13, '0341524d055c4c6e7578', { cpu: 'ARM', os: '\\134Lnux' }],
  [
    'NAPTR',
    35,
    `000a00140173075349502b4432550${'0'}${NAME}`,
    {
      order: 10,
      preference: 20,
      naptrFlags: 's',
      services: 'SIP+D2U',
      regexp: '',
      replacement: 'ns1.example',
    },
  ],
  ['DS', 43, '12340d02bbbb', { keyTag: 0x1234, algorithm: 13, digestType: 2, digest: 'bbbb' }],
  ['SSHFP', 44, '04015a5a', { algorithm: 4, fptype: 1, fingerprint: '5a5a' }],
  ['DNSKEY', 48, '0101030d99aabb', { flags: 257, protocol: 3, algorithm: 13, dnskey: 'maq7' }],
  ['TLSA', 52, '030101aa', { certUsage: 3, selector: 1, matchingType: 1, data: 'aa' }],
  ['HTTPS', 65, '00010000010003026832', { priority: 1, target: '', svcparams: { alpn: 'Amgy' } }],
  [
    'SVCB with a key of its own',
    64,
    '00010001230001ff',
    { priority: 1, target: '', svcparams: { key291: '/w==' } },
  ],
  ['CAA', 257, '00056973737565636122', { flags: 0, tag: 'issue', value: 'ca\\042' }],
])('what a %s record says is told by field', (_, type, data, fields) => {
  expect(JSON.parse(JSON.stringify(recordData({ type, wire: wire(type, data) })))).toEqual(fields);
});

test.each([
  ['a type that has no fields', 999, 'deadbeef'],
  ['data that ends too soon', 15, '00'],
  ['a name that leads out of it', 15, '000a3f61'],
  ['a parameter that leads out of it', 65, '000100000100ff02'],
])('of %s nothing is told', (_, type, data) => {
  expect(recordData({ type, wire: wire(type, data) })).toBeUndefined();
});

test('bytes of any kind are told or not, and never an error', () => {
  const types = fc.constantFrom(6, 13, 15, 29, 35, 43, 44, 48, 52, 64, 65, 257);
  fc.assert(
    fc.property(types, fc.uint8Array({ maxLength: 80 }), (type, bytes) => {
      const data = recordData({ type, wire: bytes });
      expect(data === undefined || typeof JSON.stringify(data) === 'string').toBe(true);
    }),
  );
});
