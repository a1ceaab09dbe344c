import { type Address, formatAddress } from '../core/address.ts';
import type { LookupRecord } from '../core/lookup.ts';
import { familyNumber } from './bus-rows.ts';
import type { FoundAddress } from './lookups.ts';
import { escapeOctal, recordData } from './record-data.ts';
import type { ServerView } from './view.ts';

/** JSON as systemd's clients read it: keys in their order, and what is empty left out. */
export type Row = Readonly<Record<string, unknown>>;

/** The link a value came from; 0 is none and left out. */
export const linkField = (ifindex: number): Row => (ifindex === 0 ? {} : { ifindex });

/** An address of a host. The strict parser of systemd 252 takes these three keys and no other. */
export const addressRow = ({ ifindex, family, bytes }: FoundAddress): Row => ({
  ...linkField(ifindex),
  family: familyNumber(family),
  address: [...bytes],
});

/** A record: what it says where that is known, and its bytes in any case. */
export function recordRow(record: LookupRecord): Row {
  const data = dataOf(record);
  return {
    ...(data === undefined ? {} : { rr: { key: keyRow(record), ...data } }),
    raw: Buffer.from(record.wire).toString('base64'),
  };
}

/** A question, or what a record answers. */
export const keyRow = ({
  class: recordClass,
  type,
  name,
}: Pick<LookupRecord, 'class' | 'type' | 'name'>): Row => ({
  class: recordClass,
  type,
  name,
});

function dataOf(record: LookupRecord): Row | undefined {
  const { value } = record;
  switch (value.kind) {
    case 'address':
      return { address: [...value.bytes] };
    case 'name':
      return { name: value.name };
    case 'service':
      return { priority: value.priority, weight: value.weight, port: value.port, name: value.host };
    case 'text':
      return { items: value.items.map(escapeOctal) };
    default:
      return recordData(record);
  }
}

/** A server of the configuration. `port` is the one it is asked on. */
export const serverRow = (server: ServerView, dnsOverTls: string, accessible: boolean): Row => ({
  address: [...server.address.bytes],
  addressString: formatAddress(server.address),
  family: familyNumber(server.address.family),
  port: server.port === 0 ? (dnsOverTls === 'yes' ? 853 : 53) : server.port,
  ...linkField(server.ifindex),
  ...(server.name === '' ? {} : { name: server.name }),
  accessible,
});

/** Key under which an address is looked for in a set. */
export const addressKey = (address: Address): string => formatAddress(address);
