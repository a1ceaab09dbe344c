import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the authoritative server stands in the namespace of the differential test. */
export const AUTHORITY = { host: '127.0.0.1', port: 5301 };

/** The zones: signed with NSEC, signed with NSEC3, not signed. Each but the last points into the next. */
export const ZONES = ['a.example', 'b.example', 'c.example'] as const;

const CHILDREN = ZONES.map((zone) => `child.${zone}`);

/** Write the zones and a configuration for knotd(8) into a folder; the path of the configuration. */
export function writeAuthority(folder: string): string {
  mkdirSync(join(folder, 'zones'));
  for (const [index, zone] of ZONES.entries())
    writeFileSync(join(folder, 'zones', zone), zoneText(zone, ZONES[(index + 1) % ZONES.length] ?? zone));
  for (const zone of CHILDREN) writeFileSync(join(folder, 'zones', zone), childText(zone));
  const path = join(folder, 'knot.conf');
  writeFileSync(path, knotText(folder));
  return path;
}

/** Names in presentation form (RFC 1035 section 5.1) that the zones hold or that their records lead to. */
export function ownersOf(zone: string): readonly string[] {
  return [...new Set(relativeOwners(zone).map((owner) => (owner === '@' ? zone : `${owner}.${zone}`)))];
}

/** Parts that names which nobody wrote down are made of: below wildcards, aliases of trees, cuts, empty places. */
export const PARENTS = [
  ...[
    'w',
    'wc',
    'x.w',
    'deep.w',
    'dn',
    'far',
    'ent',
    'deep.ent',
    'child',
    'www.child',
    'host',
    'chain1',
    '@',
  ],
  ...['long-dn', 'srv', '_tcp', 'under.score'],
];

const LONG_LABEL = 'l'.repeat(63);

/** The owners of `zoneText`, relative to the zone. */
function relativeOwners(zone: string): readonly string[] {
  return zoneText(zone, zone)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('$'))
    .map((line) => line.split(' ')[0] ?? '@');
}

function zoneText(zone: string, next: string): string {
  const chain = Array.from(
    { length: 10 },
    (_, i) => `chain${i + 1} CNAME ${i === 9 ? 'host' : `chain${i + 2}`}`,
  );
  return [
    `$ORIGIN ${zone}.`,
    '$TTL 3600',
    `@ SOA ns.${zone}. host\\.master.${zone}. 7 3600 600 86400 300`,
    '@ NS ns',
    '@ MX 10 mail',
    `@ MX 20 mail.${next}.`,
    '@ TXT "apex"',
    '@ CAA 0 issue "ca.example"',
    '@ HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.80" port="8443"',
    'ns A 127.0.0.1',
    'host A 192.0.2.1',
    'host A 192.0.2.2',
    'host AAAA 2001:db8::1',
    'host TXT "one" "two"',
    'host LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m',
    'mail A 192.0.2.25',
    'mail AAAA 2001:db8::25',
    '_sip._tcp SRV 10 60 5060 host',
    `_sip._tcp SRV 20 60 5060 host.${next}.`,
    'srv SRV 1 1 443 mail',
    'svc SVCB 16 host alpn="dot" port="853"',
    'svcalias SVCB 0 svc',
    'web HTTPS 0 svc',
    'unknown TYPE65280 \\# 5 00c0ff0301',
    'unknown TYPE65281 \\# 0',
    'naptr NAPTR 10 20 "u" "sip+E2U" "!^.*$!sip:a@b.example!" .',
    'pointer PTR host',
    'sshfp SSHFP 4 2 aabbccdd',
    ...chain,
    'loop1 CNAME loop2',
    'loop2 CNAME loop1',
    'dangling CNAME nothing-here',
    `across CNAME host.${next}.`,
    'across2 CNAME across3',
    `across3 CNAME chain7.${next}.`,
    `acrossnone CNAME nothing-there.${next}.`,
    `acrosswild CNAME some.w.${next}.`,
    'dn DNAME tree',
    'host.tree A 192.0.2.61',
    'www.tree CNAME host',
    'deep.host.tree TXT "below"',
    `far DNAME ${next}.`,
    `long-dn DNAME ${[LONG_LABEL, LONG_LABEL, LONG_LABEL].join('.')}.${zone}.`,
    '*.w A 192.0.2.42',
    '*.w TXT "wild"',
    'x.w TXT "not wild"',
    'below.deep.w A 192.0.2.43',
    '*.wc CNAME host',
    'leaf.deep.ent A 192.0.2.9',
    'under.score TXT "a dot is no dot"',
    'under\\.score TXT "one label"',
    'nul\\000byte A 192.0.2.100',
    'high\\255\\200byte A 192.0.2.101',
    'sp\\032ace\\009tab TXT "white"',
    'quote\\"back\\\\slash\\;semi TXT "escaped"',
    'UPPER\\.Dot MX 5 host',
    '\\192\\012 TXT "looks like a pointer"',
    'odd CNAME nul\\000byte',
    `${LONG_LABEL} A 192.0.2.63`,
    `${[LONG_LABEL, LONG_LABEL, LONG_LABEL, 'm'.repeat(60 - zone.length)].join('.')} A 192.0.2.255`,
    ...texts('text700', 3, 230),
    ...texts('text1200', 5, 235),
    ...texts('text3000', 12, 245),
    ...texts('text20000', 80, 247),
    ...Array.from({ length: 40 }, (_, i) => `many A 198.51.100.${i + 1}`),
    ...Array.from({ length: 120 }, (_, i) => `crowd AAAA 2001:db8::${(i + 1).toString(16)}`),
    'zero 0 A 192.0.2.200',
    'short 1 A 192.0.2.201',
    'child NS ns.child',
    'ns.child A 127.0.0.1',
    '',
  ].join('\n');
}

const texts = (owner: string, count: number, bytes: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `${owner} TXT "${String(i).padStart(3, '0').padEnd(bytes, 'x')}"`);

function childText(zone: string): string {
  return [
    `$ORIGIN ${zone}.`,
    '$TTL 600',
    `@ SOA ns.${zone}. hostmaster.${zone}. 1 3600 600 86400 60`,
    '@ NS ns',
    'ns A 127.0.0.1',
    'www A 192.0.2.88',
    'www AAAA 2001:db8::88',
    'up CNAME host.a.example.',
    '* TXT "child wild"',
    '',
  ].join('\n');
}

function knotText(folder: string): string {
  const zone = (name: string, policy: string | undefined): string =>
    [
      `- domain: ${name}`,
      `  file: "${folder}/zones/${name}"`,
      '  zonefile-sync: -1',
      '  zonefile-load: whole',
      ...(policy === undefined
        ? []
        : ['  dnssec-signing: on', `  dnssec-policy: ${policy}`, '  journal-content: none']),
    ].join('\n');
  const policies = ['nsec', 'nsec3', undefined];
  return `server:
  rundir: "${folder}"
  listen: ${AUTHORITY.host}@${AUTHORITY.port}
  udp-max-payload: 4096
  tcp-max-clients: 400
log:
- target: stderr
  any: warning
database:
  storage: "${folder}"
control:
  listen: "${folder}/knot.sock"
policy:
- id: nsec
  algorithm: ecdsap256sha256
  single-type-signing: on
- id: nsec3
  algorithm: ecdsap256sha256
  single-type-signing: on
  nsec3: on
  nsec3-iterations: 0
  nsec3-salt-length: 0
zone:
${[...ZONES, ...CHILDREN].map((name, index) => zone(name, policies[index % policies.length])).join('\n')}
`;
}
