import { DEFAULT_PROTOCOLS, type Knob, type Protocols } from '../core/snapshot.ts';
import { isDict, numberOf } from './networkmanager-values.ts';

/** What of a profile DNS depends on and no other object shows. */
export interface ProfileSettings extends Protocols {
  readonly neverDefault: { readonly 4: boolean; readonly 6: boolean };
}

/** What a profile says that says nothing. */
export const DEFAULT_SETTINGS: ProfileSettings = {
  neverDefault: { 4: false, 6: false },
  ...DEFAULT_PROTOCOLS,
};

/** Pick by name from a reply of GetSettings; nothing else of a profile, which may hold keys, is kept. */
export function settingsOf(profile: unknown): ProfileSettings {
  const all = isDict(profile) ? profile : {};
  const connection = section(all, 'connection');
  return {
    neverDefault: {
      4: section(all, 'ipv4')['never-default'] === true,
      6: section(all, 'ipv6')['never-default'] === true,
    },
    mdns: knobOf(connection['mdns'], 'resolve'),
    llmnr: knobOf(connection['llmnr'], 'resolve'),
    dnsOverTls: knobOf(connection['dns-over-tls'], 'opportunistic'),
    dnssec: knobOf(connection['dnssec'], 'allow-downgrade'),
  };
}

function section(
  profile: Readonly<Record<string, unknown>>,
  name: string,
): Readonly<Record<string, unknown>> {
  const found = profile[name];
  return isDict(found) ? found : {};
}

/** -1 is left open, 0 no, 2 yes; 1 means something else for each knob. */
function knobOf(value: unknown, one: Knob): Knob {
  const knobs: Readonly<Record<number, Knob>> = { 0: 'no', 1: one, 2: 'yes' };
  return knobs[numberOf(value) ?? -1] ?? 'default';
}
