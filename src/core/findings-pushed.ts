import type { PushedLink, PushedSettings } from './pushed-links.ts';
import type { Knob } from './snapshot.ts';
import type { Finding } from './status.ts';
import { printable } from './text.ts';

/** Settings that programs may push and that change nothing here, so that whoever relies on them hears of it. */
export function pushedFindings(links: readonly PushedLink[]): readonly Finding[] {
  return UNSUPPORTED.flatMap(({ knob, name, values, severity, consequence }) => {
    const asking = links.filter(({ settings }) => values.includes(settings[knob] ?? 'default'));
    if (asking.length === 0) return [];
    const shown = asking.slice(0, MOST_SHOWN).map((link) => describe(link, knob));
    const more = asking.length > MOST_SHOWN ? ` and ${asking.length - MOST_SHOWN} more` : '';
    const text = `${name} was asked for on ${shown.join(', ')}${more}, but ${consequence}`;
    return [{ severity, id: `unsupported-${knob}`, text }];
  });
}

const MOST_SHOWN = 4;

interface Unsupported {
  readonly knob: 'dnssec' | 'llmnr' | 'mdns';
  readonly name: string;
  /** Values that ask for more than is done. */
  readonly values: readonly Knob[];
  readonly severity: Finding['severity'];
  readonly consequence: string;
}

const NOT_VALIDATED = 'dnskeeper does not validate answers: it hands on what the servers say.';

const NOT_SPOKEN = 'dnskeeper does not speak it: names are asked of the DNS servers alone.';

const UNSUPPORTED: readonly Unsupported[] = [
  { knob: 'dnssec', name: 'DNSSEC', values: ['yes'], severity: 'warning', consequence: NOT_VALIDATED },
  {
    knob: 'dnssec',
    name: 'DNSSEC where servers know it',
    values: ['allow-downgrade'],
    severity: 'note',
    consequence: NOT_VALIDATED,
  },
  {
    knob: 'llmnr',
    name: 'LLMNR',
    values: ['yes', 'resolve'],
    severity: 'note',
    consequence: NOT_SPOKEN,
  },
  {
    knob: 'mdns',
    name: 'Multicast DNS',
    values: ['yes', 'resolve'],
    severity: 'note',
    consequence: NOT_SPOKEN,
  },
];

const describe = ({ interface: link, settings, by }: PushedLink, knob: keyof PushedSettings): string =>
  `${printable(link, 32)} (${settings[knob]}, by ${printable(by.name, 60)})`;
