import { RECORD_TYPES, serviceParameterName } from '../core/dns-parameters.ts';
import type { LookupRecord } from '../core/lookup.ts';

/**
 * What a record says, as systemd's JSON names it, for the types whose value means nothing to us. Undefined for a type that
 * has no form of its own there, and for data that is not what its type says.
 */
export function recordData({
  type,
  wire,
}: Pick<LookupRecord, 'type' | 'wire'>): Readonly<Record<string, unknown>> | undefined {
  const fields = FIELDS.get(type);
  if (fields === undefined) return undefined;
  const reader = new Reader(wire);
  try {
    reader.name();
    reader.skip(10); // type, class, TTL and length
    return Object.fromEntries(Object.entries(fields).map(([key, read]) => [key, read(reader)]));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Reads data from its beginning; a RangeError says that it ends too soon. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(wire: Uint8Array) {
    this.#bytes = Buffer.from(wire.buffer, wire.byteOffset, wire.byteLength);
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  skip(length: number): void {
    this.#take(length);
  }

  number(length: 1 | 2 | 4): number {
    return this.#take(length).readUIntBE(0, length);
  }

  /** A string with its length before it (RFC 1035 section 3.3). */
  string(): Buffer {
    return this.#take(this.number(1));
  }

  bytes(length: number): Buffer {
    return this.#take(length);
  }

  rest(): Buffer {
    return this.#take(this.#bytes.length - this.#at);
  }

  /** A name without pointers; the root is empty. */
  name(): string {
    const labels: string[] = [];
    for (let label = this.string(); label.length > 0; label = this.string()) labels.push(escapeLabel(label));
    return labels.join('.');
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('the data ends too soon');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

const escapeLabel = (label: Buffer): string =>
  label
    .toString('latin1')
    .replace(/[^A-Za-z0-9_-]/g, (letter) => `\\${String(letter.charCodeAt(0)).padStart(3, '0')}`);

/** Bytes as text, all that is not plain ASCII as a backslash and three octal digits. */
export const escapeOctal = (bytes: Uint8Array): string =>
  [...bytes]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c
        ? `\\${byte.toString(8).padStart(3, '0')}`
        : String.fromCharCode(byte),
    )
    .join('');

type Field = (reader: Reader) => unknown;

const u8: Field = (reader) => reader.number(1);
const u16: Field = (reader) => reader.number(2);
const u32: Field = (reader) => reader.number(4);
/** A number that has no field there. */
const unsaid: Field = (reader) => reader.skip(4);
const name: Field = (reader) => reader.name();
const string: Field = (reader) => escapeOctal(reader.string());
const text: Field = (reader) => escapeOctal(reader.rest());
const hex: Field = (reader) => reader.rest().toString('hex');
const base64: Field = (reader) => reader.rest().toString('base64');

/** SVCB and HTTPS: RFC 9460. Values are told as their bytes. */
const SERVICE = { priority: u16, target: name, svcparams: serviceParameters } as const;

/** The fields of each type as they stand in the data. RFC 1035, 1876, 3403, 4034, 4255, 6698, 8659, 9460. */
const FIELDS: ReadonlyMap<number, Readonly<Record<string, Field>>> = new Map(
  Object.entries({
    SOA: { mname: name, rname: name, serial: u32, refresh: u32, retry: unsaid, expire: u32, minimum: u32 },
    HINFO: { cpu: string, os: string },
    MX: { priority: u16, exchange: name },
    LOC: {
      version: u8,
      size: u8,
      horiz_pre: u8,
      vert_pre: u8,
      latitude: u32,
      longitude: u32,
      altitude: u32,
    },
    NAPTR: {
      order: u16,
      preference: u16,
      naptrFlags: string,
      services: string,
      regexp: string,
      replacement: name,
    },
    DS: { keyTag: u16, algorithm: u8, digestType: u8, digest: hex },
    SSHFP: { algorithm: u8, fptype: u8, fingerprint: hex },
    DNSKEY: { flags: u16, protocol: u8, algorithm: u8, dnskey: base64 },
    TLSA: { certUsage: u8, selector: u8, matchingType: u8, data: hex },
    SVCB: SERVICE,
    HTTPS: SERVICE,
    CAA: { flags: u8, tag: string, value: text },
  } satisfies Record<string, Readonly<Record<string, Field>>>).map(([type, fields]) => [
    RECORD_TYPES[type] ?? 0,
    fields,
  ]),
);

function serviceParameters(reader: Reader): Readonly<Record<string, string>> {
  const parameters: Record<string, string> = {};
  while (!reader.ended) {
    const key = reader.number(2);
    const value = reader.bytes(reader.number(2));
    parameters[serviceParameterName(key)] = value.toString('base64');
  }
  return parameters;
}
