import type { VarlinkParameters } from '../system/varlink-frames.ts';
import type { VarlinkInterface, VarlinkMethod } from '../system/varlink-interface.ts';
import type { LookupContext } from './ask.ts';
import { configurationRows } from './configuration-rows.ts';
import type { StandinGround } from './ground.ts';
import { LookupError, varlinkErrorOf } from './lookup-errors.ts';
import { resolveAddress, resolveHostname, resolveRecord } from './lookups.ts';
import { addressFrom, readFamily, readLimits } from './manager-lookups.ts';
import { escapeOctal } from './record-data.ts';
import { resolveService } from './service-lookup.ts';
import { RESOLVE, RESOLVE_DESCRIPTION } from './varlink-descriptions.ts';
import { addressRow, linkField, recordRow } from './varlink-rows.ts';

/** io.systemd.Resolve: what nss-resolve and resolvectl look names up with. Open to everybody. */
export function resolveInterface(ground: StandinGround): VarlinkInterface {
  const lookup = (
    takes: VarlinkMethod['takes'],
    run: (parameters: VarlinkParameters, context: LookupContext) => Promise<VarlinkParameters>,
  ): VarlinkMethod => ({
    ...(takes === undefined ? {} : { takes }),
    neverOneway: true,
    answer: async ({ parameters }) => {
      try {
        return await run(parameters, { lookup: ground.lookup, search: ground.search(), signal: NEVER });
      } catch (error) {
        throw varlinkErrorOf(error);
      }
    },
  });
  return {
    name: RESOLVE,
    description: RESOLVE_DESCRIPTION,
    methods: {
      ResolveHostname: lookup(
        { ifindex: 'int?', name: 'string', family: 'int?', flags: 'int?' },
        async ({ ifindex, name, family, flags }, context) => {
          const found = await resolveHostname(context, {
            ...readLimits(ifindex ?? 0, flags ?? 0, 'hostname'),
            family: readFamily(Number(family ?? 0)),
            name: String(name),
          });
          return { addresses: found.addresses.map(addressRow), name: found.canonical, flags: found.flags };
        },
      ),
      ResolveAddress: lookup(
        { ifindex: 'int?', family: 'int', address: 'bytes', flags: 'int?' },
        async ({ ifindex, family, address, flags }, context) => {
          const bytes = Uint8Array.from(address as readonly number[]);
          if (bytes.length !== 4 && bytes.length !== 16)
            throw new LookupError('invalid-argument', 'address', 'An address has 4 or 16 bytes.');
          const found = await resolveAddress(context, {
            ...readLimits(ifindex ?? 0, flags ?? 0, 'address'),
            address: addressFrom(Number(family), bytes),
          });
          const names = found.names.map((each) => ({ ...linkField(each.ifindex), name: each.name }));
          return { names, flags: found.flags };
        },
      ),
      ResolveRecord: lookup(
        { ifindex: 'int?', name: 'string', class: 'int?', type: 'int', flags: 'int?' },
        async ({ ifindex, name, class: recordClass, type, flags }, context) => {
          const found = await resolveRecord(context, {
            ...readLimits(ifindex ?? 0, flags ?? 0, 'record'),
            name: String(name),
            class: Number(recordClass ?? IN),
            type: Number(type),
          });
          const rrs = found.records.map((record) => ({ ...linkField(found.ifindex), ...recordRow(record) }));
          return { rrs, flags: found.flags };
        },
      ),
      ResolveService: lookup(
        {
          name: 'string?',
          type: 'string?',
          domain: 'string',
          ifindex: 'int?',
          family: 'int?',
          flags: 'int?',
        },
        serviceReply,
      ),
      DumpDNSConfiguration: { answer: () => ({ configuration: configurationRows(ground) }) },
    },
  };
}

const IN = 1;

/**
 * A closed writing side cannot be told from a hang-up, and somebody may still read the answer; the resolver has
 * deadlines of its own.
 */
const NEVER = new AbortController().signal;

async function serviceReply(
  { name, type, domain, ifindex, family, flags }: VarlinkParameters,
  context: LookupContext,
): Promise<VarlinkParameters> {
  const found = await resolveService(context, {
    ...readLimits(ifindex ?? 0, flags ?? 0, 'service'),
    family: readFamily(Number(family ?? 0)),
    name: String(name ?? ''),
    type: String(type ?? ''),
    domain: String(domain),
  });
  const { canonical } = found;
  return {
    services: found.services.map(({ priority, weight, port, host, canonical: real, addresses }) => ({
      priority,
      weight,
      port,
      hostname: host,
      ...(real === '' ? {} : { canonicalName: real }),
      ...(addresses.length === 0 ? {} : { addresses: addresses.map(addressRow) }),
    })),
    ...(found.texts.length === 0 ? {} : { txt: found.texts.map(escapeOctal) }),
    canonical: { name: canonical.name || null, type: canonical.type, domain: canonical.domain },
    flags: found.flags,
  };
}
