import type { Domain } from './domain.ts';
import type { ResolvOption } from './resolv-option.ts';
import type { Server } from './server.ts';

/** The configuration after parsing, defaults filled in; another type than what stands in the files. */
export interface Config {
  readonly link: { readonly takeover: 'auto' | 'always' | 'never' };
  readonly resolver: { readonly mode: 'auto' | 'file' | 'stub' };
  readonly policy: {
    readonly vpn: 'prefer' | 'exclusive';
    /** Milliseconds that the last good servers stay over a gap. */
    readonly graceMs: number;
  };
  readonly dns: {
    readonly servers: readonly Server[];
    readonly search: readonly Domain[];
    readonly options: readonly ResolvOption[];
    /** Used only while nothing else has a server. */
    readonly fallback: readonly Server[];
  };
  readonly networkmanager: { readonly enabled: boolean };
  readonly log: { readonly level: 'error' | 'warn' | 'info' | 'debug' };
}
