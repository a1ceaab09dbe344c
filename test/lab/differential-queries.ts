import { ownersOf, PARENTS, ZONES } from './differential-zones.ts';

/** One query of the differential test. */
export interface RandomQuery {
  /** The message but for its id. */
  readonly wire: Buffer;
  /** Presentation form, its capitals as in the message. */
  readonly name: string;
  readonly type: number;
  readonly transport: 'udp' | 'tcp';
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  readonly authenticData: boolean;
  readonly edns:
    | {
        readonly size: number;
        readonly version: number;
        readonly dnssecOk: boolean;
        readonly option: number | undefined;
      }
    | undefined;
}

/** The same queries for the same seed. */
export function randomQueries(seed: number, count: number): readonly RandomQuery[] {
  const random = generator(seed);
  return Array.from({ length: count }, () => randomQuery(random));
}

/** A command that asks the same of a port of 127.0.0.1, for whoever looks at a failure. */
export function kdigCommand(query: RandomQuery, port: number): string {
  const { edns } = query;
  const flags = [
    query.recursionDesired ? '+rd' : '+nord',
    query.checkingDisabled ? '+cd' : '+nocd',
    query.authenticData ? '+ad' : '+noad',
    query.transport === 'tcp' ? '+tcp' : '+notcp +ignore',
    edns === undefined
      ? '+noedns'
      : `+edns=${edns.version} +bufsize=${edns.size} ${edns.dnssecOk ? '+dnssec' : '+nodnssec'}`,
    ...(edns?.option === undefined ? [] : [`+ednsopt=${edns.option}:0102030405060708`]),
  ];
  return `kdig @127.0.0.1 -p ${port} ${flags.join(' ')} -t TYPE${query.type} '${query.name}.'`;
}

/** The wire form of a name in presentation form (RFC 1035 section 5.1). */
export function nameWire(name: string): Buffer {
  const labels: number[][] = [[]];
  for (let at = 0; at < name.length; at++) {
    const escaped = /^\\(\d{3})/.exec(name.slice(at, at + 4));
    if (name[at] === '.') labels.push([]);
    else if (escaped !== null) {
      labels.at(-1)?.push(Number(escaped[1]));
      at += 3;
    } else labels.at(-1)?.push(name.charCodeAt(name[at] === '\\' ? ++at : at));
  }
  return Buffer.concat([...labels.map((label) => Buffer.of(label.length, ...label)), Buffer.of(0)]);
}

type Random = () => number;

/** mulberry32: small, and the same everywhere. */
function generator(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const TYPES = {
  /** What clients ask for, and what the zones hold. */
  usual: [1, 1, 1, 28, 28, 16, 15, 33, 5, 2, 6, 12, 65, 64],
  /** Types that are rare, that belong to DNSSEC, or that nobody has defined. */
  rare: [43, 48, 47, 50, 51, 46, 39, 257, 29, 35, 44, 65_280, 65_281, 65_399, 99, 37, 52, 13],
  /** What every name has, and what is refused. */
  odd: [255, 3, 10, 38, 252, 253, 0, 41],
};

function randomQuery(random: Random): RandomQuery {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const chance = (part: number): boolean => random() < part;
  const name = mixCase(randomName(pick, chance), random);
  const kind = chance(0.75) ? TYPES.usual : chance(0.94) ? TYPES.rare : TYPES.odd;
  const edns = chance(0.7)
    ? {
        size: pick([0, 100, 512, 513, 700, 1232, 1232, 1232, 1400, 4096, 4096, 65_535]),
        version: chance(0.005) ? 1 : 0,
        dnssecOk: chance(0.4),
        option: chance(0.1) ? pick([10, 12, 65_001]) : undefined,
      }
    : undefined;
  const query = {
    name,
    type: pick(kind),
    transport: chance(0.15) ? 'tcp' : 'udp',
    recursionDesired: !chance(0.02),
    checkingDisabled: chance(0.2),
    authenticData: chance(0.3),
    edns,
  } as const;
  return { ...query, wire: encode(query) };
}

function randomName(pick: <T>(list: readonly T[]) => T, chance: (part: number) => boolean): string {
  const zone = pick(ZONES);
  if (chance(0.6)) return pick(ownersOf(zone)).replace(/^\*\./, chance(0.5) ? '*.' : 'star.');
  const parent = pick(PARENTS);
  const base = parent === '@' ? zone : `${parent}.${zone}`;
  const label = pick([
    ...[
      'nothing',
      'www',
      'host',
      'a',
      'some',
      'under',
      '*',
      '\\000',
      '\\255x',
      'dot\\.in',
      '\\032',
      'leaf',
      '_',
    ],
    ...['x'.repeat(63), `y${'z'.repeat(40)}`],
  ]);
  if (chance(0.2)) return base;
  return chance(0.3) ? `${pick(['one', 'host', '\\009'])}.${label}.${base}` : `${label}.${base}`;
}

/** Capitals at random; a digit of an escape has none. */
function mixCase(name: string, random: Random): string {
  if (random() < 0.5) return name;
  return [...name].map((letter) => (random() < 0.5 ? letter.toUpperCase() : letter.toLowerCase())).join('');
}

function encode(query: Omit<RandomQuery, 'wire'>): Buffer {
  const { edns, type } = query;
  const head = Buffer.alloc(12);
  const flags =
    (query.recursionDesired ? 0x0100 : 0) |
    (query.authenticData ? 0x20 : 0) |
    (query.checkingDisabled ? 0x10 : 0);
  head.writeUInt16BE(flags, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(edns === undefined ? 0 : 1, 10);
  const question = Buffer.concat([nameWire(query.name), Buffer.of(type >> 8, type & 0xff, 0, 1)]);
  if (edns === undefined) return Buffer.concat([head, question]);
  const option = edns.option === undefined ? Buffer.alloc(0) : Buffer.from('000000080102030405060708', 'hex');
  if (edns.option !== undefined) option.writeUInt16BE(edns.option, 0);
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(41, 1);
  opt.writeUInt16BE(edns.size, 3);
  opt[6] = edns.version;
  opt.writeUInt16BE(edns.dnssecOk ? 0x8000 : 0, 7);
  opt.writeUInt16BE(option.length, 9);
  return Buffer.concat([head, question, opt, option]);
}
