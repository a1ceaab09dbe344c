import { nameAt, skipName, TYPE, type WireRecord } from './wire.ts';

/**
 * The data of a record with all names in it written out, so that it can stand in another message. Undefined when a name in it
 * is none, or leads out of it.
 */
export function dataWithWholeNames(
  wire: Buffer,
  { type, dataStart, dataEnd }: WireRecord,
): Buffer | undefined {
  const layout = LAYOUTS.get(type);
  if (layout === undefined) return wire.subarray(dataStart, dataEnd);
  const parts = [wire.subarray(dataStart, dataStart + layout.before)];
  let at = dataStart + layout.before;
  for (let i = 0; i < layout.names; i++) {
    const name = nameAt(wire, at);
    if (name === undefined) return undefined;
    parts.push(name);
    at = skipName(wire, at);
  }
  if (at > dataEnd) return undefined;
  return Buffer.concat([...parts, wire.subarray(at, dataEnd)]);
}

/** So many bytes come first, then so many names, then the rest. */
interface Layout {
  readonly before: number;
  readonly names: number;
}

/** Types that are nowhere else of interest. */
const MD = 3;
const MF = 4;
const MB = 7;
const MG = 8;
const MR = 9;
const MINFO = 14;
const MX = 15;
const RP = 17;
const AFSDB = 18;
const RT = 21;
const PX = 26;
const KX = 36;

/** Types whose names may be pointers (RFC 3597 section 4). */
const LAYOUTS: ReadonlyMap<number, Layout> = new Map([
  ...[TYPE.NS, TYPE.CNAME, TYPE.PTR, TYPE.DNAME, MD, MF, MB, MG, MR].map(layout(0, 1)),
  ...[TYPE.SOA, MINFO, RP].map(layout(0, 2)),
  ...[MX, AFSDB, RT, KX].map(layout(2, 1)),
  ...[PX].map(layout(2, 2)),
  ...[TYPE.SRV].map(layout(6, 1)),
]);

function layout(before: number, names: number): (type: number) => readonly [number, Layout] {
  return (type) => [type, { before, names }];
}
