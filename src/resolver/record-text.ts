import { formatAddress } from '../core/address.ts';
import { RECORD_TYPES, recordTypeName, serviceParameterName } from '../core/dns-parameters.ts';
import { ascii } from '../core/text.ts';
import { nameAt, readName, skipName, type WireRecord } from './wire.ts';

/** A record of a message as people write it: `name TTL type data`, printable and bounded whatever a server sent. */
export function recordText(wire: Buffer, record: WireRecord): string {
  const name = nameAt(wire, record.start);
  const owner = name === undefined ? '?' : readName(name);
  return `${owner} ${record.ttl} ${recordTypeName(record.type)} ${recordDataText(wire, record)}`;
}

/** The data alone, in the presentation of its type's RFC; as `\# length hex` (RFC 3597) where it has none here or is malformed. */
export function recordDataText(wire: Buffer, record: WireRecord): string {
  const fields = FIELDS.get(record.type);
  const text = fields === undefined ? undefined : readFields(new Reader(wire, record), fields);
  if (text !== undefined) return text;
  const data = wire.subarray(record.dataStart, record.dataEnd);
  return `\\# ${data.length} ${data.toString('hex', 0, MOST_HEX)}${data.length > MOST_HEX ? '...' : ''}`.trimEnd();
}

/** What a record's data is made of, in order; the last ones take all that is left. */
type Field =
  | 'number8'
  | 'number16'
  | 'number32'
  | 'time'
  | 'type'
  | 'name'
  | 'address4'
  | 'address6'
  | 'string'
  | 'strings'
  | 'rest as text'
  | 'rest as hex'
  | 'rest as base64'
  | 'salt'
  | 'hash'
  | 'type list'
  | 'parameters';

const LAYOUTS: Readonly<Record<string, readonly Field[]>> = {
  A: ['address4'],
  AAAA: ['address6'],
  NS: ['name'],
  CNAME: ['name'],
  PTR: ['name'],
  DNAME: ['name'],
  SOA: ['name', 'name', 'number32', 'number32', 'number32', 'number32', 'number32'],
  MX: ['number16', 'name'],
  TXT: ['strings'],
  SPF: ['strings'],
  HINFO: ['string', 'string'],
  RP: ['name', 'name'],
  SRV: ['number16', 'number16', 'number16', 'name'],
  NAPTR: ['number16', 'number16', 'string', 'string', 'string', 'name'],
  DS: ['number16', 'number8', 'number8', 'rest as hex'],
  CDS: ['number16', 'number8', 'number8', 'rest as hex'],
  SSHFP: ['number8', 'number8', 'rest as hex'],
  TLSA: ['number8', 'number8', 'number8', 'rest as hex'],
  SMIMEA: ['number8', 'number8', 'number8', 'rest as hex'],
  DNSKEY: ['number16', 'number8', 'number8', 'rest as base64'],
  CDNSKEY: ['number16', 'number8', 'number8', 'rest as base64'],
  RRSIG: ['type', 'number8', 'number8', 'number32', 'time', 'time', 'number16', 'name', 'rest as base64'],
  NSEC: ['name', 'type list'],
  NSEC3: ['number8', 'number8', 'number16', 'salt', 'hash', 'type list'],
  NSEC3PARAM: ['number8', 'number8', 'number16', 'salt'],
  SVCB: ['number16', 'name', 'parameters'],
  HTTPS: ['number16', 'name', 'parameters'],
  URI: ['number16', 'number16', 'rest as text'],
  CAA: ['number8', 'string', 'rest as text'],
  OPENPGPKEY: ['rest as base64'],
};

const FIELDS = new Map(
  Object.entries(LAYOUTS).map(([type, fields]) => [RECORD_TYPES[type] ?? -1, fields] as const),
);

const MOST_HEX = 512;
const MOST_TEXT = 4096;

/** Goes through a record's data; anything cut off or left over makes the whole undefined. */
class Reader {
  readonly wire: Buffer;
  readonly end: number;
  at: number;

  constructor(wire: Buffer, { dataStart, dataEnd }: WireRecord) {
    this.wire = wire;
    this.at = dataStart;
    this.end = dataEnd;
  }

  take(bytes: number): Buffer | undefined {
    if (this.at + bytes > this.end) return undefined;
    this.at += bytes;
    return this.wire.subarray(this.at - bytes, this.at);
  }

  number(bytes: number): number | undefined {
    return this.take(bytes)?.readUIntBE(0, bytes);
  }

  rest(): Buffer {
    const rest = this.wire.subarray(this.at, this.end);
    this.at = this.end;
    return rest;
  }

  name(): string | undefined {
    const name = nameAt(this.wire, this.at);
    if (name === undefined) return undefined;
    this.at = skipName(this.wire, this.at);
    return this.at <= this.end ? readName(name) : undefined;
  }

  /** Bytes with their count in front. */
  counted(): Buffer | undefined {
    const length = this.number(1);
    return length === undefined ? undefined : this.take(length);
  }
}

function readFields(reader: Reader, fields: readonly Field[]): string | undefined {
  const texts: string[] = [];
  for (const field of fields) {
    const text = readField(reader, field);
    if (text === undefined) return undefined;
    if (text !== '') texts.push(text);
  }
  return reader.at === reader.end ? texts.join(' ') : undefined;
}

function readField(reader: Reader, field: Field): string | undefined {
  switch (field) {
    case 'number8':
      return reader.number(1)?.toString();
    case 'number16':
      return reader.number(2)?.toString();
    case 'number32':
      return reader.number(4)?.toString();
    case 'time':
      return timeText(reader.number(4));
    case 'type':
      return mapped(reader.number(2), recordTypeName);
    case 'name':
      return reader.name();
    case 'address4':
      return addressText(reader.take(4), 4);
    case 'address6':
      return addressText(reader.take(16), 6);
    case 'string':
      return mapped(reader.counted(), quoted);
    case 'strings':
      return readStrings(reader);
    case 'rest as text':
      return quoted(reader.rest());
    case 'rest as hex':
      return reader.rest().toString('hex', 0, MOST_HEX).toUpperCase();
    case 'rest as base64':
      return reader.rest().toString('base64');
    case 'salt':
      return mapped(reader.counted(), (salt) => (salt.length === 0 ? '-' : salt.toString('hex')));
    case 'hash':
      return mapped(reader.counted(), base32hex);
    case 'type list':
      return readTypeList(reader);
    case 'parameters':
      return readParameters(reader);
  }
}

const mapped = <T>(value: T | undefined, text: (value: T) => string): string | undefined =>
  value === undefined ? undefined : text(value);

/** A character string with everything but printable ASCII escaped (RFC 1035 section 5.1). */
function quoted(bytes: Buffer): string {
  const shown = bytes.subarray(0, MOST_TEXT).toString('latin1');
  const escaped = shown.replace(/[^ -~]|["\\]/g, (character) => {
    const code = character.charCodeAt(0);
    return code >= 0x20 && code < 0x7f ? `\\${character}` : `\\${String(code).padStart(3, '0')}`;
  });
  return `"${escaped}${bytes.length > MOST_TEXT ? '...' : ''}"`;
}

function addressText(bytes: Buffer | undefined, family: 4 | 6): string | undefined {
  return bytes && formatAddress({ family, bytes: [...bytes], kind: 'unicast' });
}

/** YYYYMMDDHHmmSS in UTC (RFC 4034 section 3.2). */
const timeText = (seconds: number | undefined): string | undefined =>
  seconds === undefined ? undefined : new Date(seconds * 1000).toISOString().replace(/[-:T]|\..*/g, '');

function readStrings(reader: Reader): string | undefined {
  const strings: string[] = [];
  while (reader.at < reader.end) {
    const bytes = reader.counted();
    if (bytes === undefined) return undefined;
    strings.push(quoted(bytes));
  }
  return strings.length === 0 ? undefined : strings.join(' ');
}

/** Windows of bits (RFC 4034 section 4.1.2). */
function readTypeList(reader: Reader): string | undefined {
  const types: string[] = [];
  while (reader.at < reader.end) {
    const window = reader.number(1) ?? 0;
    const bits = reader.counted();
    if (bits === undefined) return undefined;
    for (let bit = 0; bit < bits.length * 8; bit++)
      if (((bits[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0) types.push(recordTypeName(window * 256 + bit));
  }
  return types.join(' ');
}

function readParameters(reader: Reader): string | undefined {
  const texts: string[] = [];
  while (reader.at < reader.end) {
    const key = reader.number(2);
    const length = reader.number(2);
    const value = length === undefined ? undefined : reader.take(length);
    if (key === undefined || value === undefined) return undefined;
    const text = parameterText(key, value);
    const name = serviceParameterName(key);
    texts.push(text === '' ? name : `${name}=${text}`);
  }
  return texts.join(' ');
}

function parameterText(key: number, value: Buffer): string {
  switch (serviceParameterName(key)) {
    case 'mandatory':
      return pieces(value, 2, (one) => serviceParameterName(one.readUInt16BE()));
    case 'alpn':
      return alpnText(value);
    case 'port':
      return value.length === 2 ? String(value.readUInt16BE()) : quoted(value);
    case 'ipv4hint':
      return pieces(value, 4, (one) => addressText(one, 4) ?? '');
    case 'ipv6hint':
      return pieces(value, 16, (one) => addressText(one, 6) ?? '');
    case 'ech':
      return value.toString('base64');
    default:
      return value.length === 0 ? '' : quoted(value);
  }
}

function pieces(value: Buffer, size: number, text: (one: Buffer) => string): string {
  if (value.length % size !== 0) return quoted(value);
  return Array.from({ length: value.length / size }, (_, i) =>
    text(value.subarray(i * size, (i + 1) * size)),
  ).join(',');
}

function alpnText(value: Buffer): string {
  const names: string[] = [];
  for (let at = 0; at < value.length; at += (value[at] ?? 0) + 1)
    names.push(ascii(value.toString('latin1', at + 1, at + 1 + (value[at] ?? 0)), 255));
  return names.join(',');
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUV';

/** RFC 4648 section 7 without padding, as owner names of NSEC3 records have it. */
function base32hex(bytes: Buffer): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += DIGITS[(held >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + DIGITS[(held << (5 - bits)) & 31];
}
