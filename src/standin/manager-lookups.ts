import { type Address, addressOfBytes } from '../core/address.ts';
import type { BusValue } from '../system/bus.ts';
import type { Method } from '../system/bus-interface.ts';
import type { IncomingCall } from '../system/bus-service.ts';
import { AF } from '../system/socket-address.ts';
import type { LookupContext } from './ask.ts';
import { familyNumber } from './bus-rows.ts';
import { type LookupKind, readFlags } from './flags.ts';
import type { StandinGround } from './ground.ts';
import { busErrorOf, LookupError } from './lookup-errors.ts';
import { type FoundAddress, resolveAddress, resolveHostname, resolveRecord } from './lookups.ts';
import { resolveService } from './service-lookup.ts';

/** The lookups of the manager object. */
export function lookupMethods(
  ground: Pick<StandinGround, 'lookup' | 'search'>,
): Readonly<Record<string, Method>> {
  const method =
    (run: (body: readonly BusValue[], context: LookupContext) => Promise<readonly BusValue[]>): Method =>
    async (body, { signal }: IncomingCall) => {
      try {
        return await run(body, { lookup: ground.lookup, search: ground.search(), signal });
      } catch (error) {
        throw busErrorOf(error);
      }
    };
  return {
    ResolveHostname: method(async ([ifindex, name, family, flags], context) => {
      const found = await resolveHostname(context, {
        family: readFamily(Number(family)),
        ...readLimits(ifindex, flags, 'hostname'),
        name: String(name),
      });
      return [found.addresses.map(addressRow), found.canonical, BigInt(found.flags)];
    }),
    ResolveAddress: method(async ([ifindex, family, bytes, flags], context) => {
      const address = addressFrom(Number(family), bytes as Uint8Array);
      const found = await resolveAddress(context, { ...readLimits(ifindex, flags, 'address'), address });
      return [found.names.map((each) => [each.ifindex, each.name]), BigInt(found.flags)];
    }),
    ResolveRecord: method(async ([ifindex, name, recordClass, type, flags], context) => {
      const found = await resolveRecord(context, {
        ...readLimits(ifindex, flags, 'record'),
        name: String(name),
        class: Number(recordClass),
        type: Number(type),
      });
      const rows = found.records.map((record) => [found.ifindex, record.class, record.type, record.wire]);
      return [rows, BigInt(found.flags)];
    }),
    ResolveService: method(async ([ifindex, name, type, domain, family, flags], context) => {
      const found = await resolveService(context, {
        family: readFamily(Number(family)),
        ...readLimits(ifindex, flags, 'service'),
        name: String(name),
        type: String(type),
        domain: String(domain),
      });
      // Here a host whose addresses nobody wants to know is taken for its own name.
      const rows = found.services.map(({ priority, weight, port, host, addresses, canonical }) => [
        priority,
        weight,
        port,
        host,
        addresses.map(addressRow),
        canonical || host,
      ]);
      const { canonical } = found;
      return [rows, found.texts, canonical.name, canonical.type, canonical.domain, BigInt(found.flags)];
    }),
  };
}

/** The link and the flags of a call. */
export function readLimits(
  ifindex: unknown,
  flags: unknown,
  kind: LookupKind,
): { readonly ifindex: number; readonly flags: number } {
  const index = Number(ifindex);
  if (!Number.isInteger(index) || index < 0) throw invalid('ifindex', 'Invalid interface index');
  const read = readFlags(typeof flags === 'bigint' ? flags : Number(flags), kind);
  if (read === undefined) throw invalid('flags', 'Invalid flags parameter');
  return { ifindex: index, flags: read };
}

/** A family's number; 0 for both. */
export function readFamily(family: number): 4 | 6 | undefined {
  if (family === 0) return undefined;
  if (family === AF.inet) return 4;
  if (family === AF.inet6) return 6;
  throw invalid('family', `Unknown address family ${family}`);
}

/** The address that somebody wants the name of. */
export function addressFrom(family: number, bytes: Uint8Array): Address {
  const read = readFamily(family);
  if (read === undefined) throw invalid('family', `Unknown address family ${family}`);
  const address = bytes.length === (read === 4 ? 4 : 16) ? addressOfBytes([...bytes]) : undefined;
  if (address === undefined) throw new LookupError('bad-address-size', 'address', 'Invalid address size');
  return address;
}

const addressRow = ({ ifindex, family, bytes }: FoundAddress): readonly BusValue[] => [
  ifindex,
  familyNumber(family),
  bytes,
];

const invalid = (parameter: string, text: string): LookupError =>
  new LookupError('invalid-argument', parameter, text);
