import { DEFAULT_CONFIG } from '../src/core/config.ts';
import { makePlan } from '../src/core/policy.ts';
import type { LinkDns, Snapshot } from '../src/core/snapshot.ts';
import { figures, type Measurement, median, ms, ratio } from './measurement.ts';

const LINKS = 200;
const DOMAINS = 2000;
const WARM_UP = 50;
const ROUNDS = 400;

/**
 * The decision for a machine with 200 links and 2,000 domains. No other program lets its decision be called alone, so
 * the yardstick is the engine's own copy of the same input (structuredClone), which only has to touch every string once.
 */
export const plan: Measurement = {
  name: 'plan',
  what: `makePlan with ${LINKS} links and ${DOMAINS} domains`,
  lab: false,
  async run() {
    const snapshot = manyLinks();
    const first = time(() => makePlan(snapshot, DEFAULT_CONFIG));
    const ours: number[] = [];
    const copies: number[] = [];
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      const decided = time(() => makePlan(snapshot, DEFAULT_CONFIG));
      const copied = time(() => structuredClone(snapshot));
      if (round < WARM_UP) continue;
      ours.push(decided);
      copies.push(copied);
    }
    return [
      {
        what: `makePlan, ${LINKS} links and ${DOMAINS} domains (first call in a cold process: ${figures(first)} ms)`,
        must: '<= 5 ms',
        measured: ms(median(ours)),
        peer: `${ms(median(copies))} (structuredClone of the same input)`,
        ratio: ratio(median(ours), median(copies)),
        reached: median(ours) <= 5,
      },
    ];
  },
};

function time(act: () => unknown): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

/** Half of the links are tunnels; searches, routing domains, both families, routes, a server shared here and there. */
function manyLinks(): Snapshot {
  return { networkmanager: { links: Array.from({ length: LINKS }, (_, number) => linkNumber(number)) } };
}

function linkNumber(number: number): LinkDns {
  const vpn = number % 2 === 1;
  const six = number % 4 === 2;
  const net = six ? `fd00:${number.toString(16)}::` : `10.${number}.0.`;
  const domains = Array.from({ length: DOMAINS / LINKS }, (_, i) => `d${i}.site${number}.corp.example`);
  return {
    interface: `${vpn ? 'tun' : 'eth'}${number}`,
    ifindex: number + 2,
    family: six ? 6 : 4,
    connection: {
      id: `Profile ${number}`,
      uuid: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
      type: vpn ? 'vpn' : '802-3-ethernet',
    },
    vpn,
    priority: vpn ? 50 : 100,
    servers: [`${net}1`, number % 10 === 0 ? '192.0.2.53' : `${net}2`],
    searches: domains.map((domain, i) => (i % 2 === 0 ? domain : `~${domain}`)),
    domains: [],
    options: ['edns0'],
    addresses: [`${net}7/${six ? 64 : 24}`],
    routes: [
      { destination: six ? '::/0' : '0.0.0.0/0' },
      { destination: `${net}0/${six ? 64 : 16}`.replace('::0/', '::/') },
    ],
    gateway: `${net}1`,
    defaultRoute: !vpn,
    metric: 100 + number,
    neverDefault: vpn,
    mdns: 'default',
    llmnr: 'default',
    dnsOverTls: 'default',
    dnssec: 'default',
    connectivity: 'full',
  };
}
