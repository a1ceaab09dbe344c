import { formatAddress } from '../core/address.ts';
import type { Config } from '../core/config.ts';
import { formatHost } from '../core/server.ts';
import type { ListenAt } from '../resolver/listener.ts';
import type { Paths } from '../system/paths.ts';

/** Where the resolver listens, and why nowhere. */
export interface Places {
  readonly at: readonly ListenAt[];
  readonly whyNone: string;
}

/** Its standard places or what the configuration says instead, and what the configuration says beside them. */
export function placesToListen(
  paths: Pick<Paths, 'mode' | 'root'>,
  replaying: boolean,
  config: Pick<Config, 'listen' | 'stub' | 'listenAlso'>,
): Places {
  const { at, whyNone } = ownPlaces(paths, replaying, config);
  if (replaying) return { at, whyNone };
  const extra = config.listenAlso.map(
    ({ address, port, transport }): ListenAt => ({
      host: formatAddress(address),
      port,
      service: 'full',
      extra: true,
      ...(transport === undefined ? {} : { transport }),
    }),
  );
  return { at: [...at, ...extra.filter((each) => !at.some((own) => isThere(own, each)))], whyNone };
}

function ownPlaces(
  { mode, root }: Pick<Paths, 'mode' | 'root'>,
  replaying: boolean,
  { listen, stub }: Pick<Config, 'listen' | 'stub'>,
): Places {
  const at = (host: string, port: number, service: ListenAt['service']): ListenAt => ({
    host,
    port,
    service,
  });
  const none = (whyNone: string): Places => ({ at: [], whyNone });
  if (listen.length > 0)
    return { at: listen.map((one) => at(formatHost(one), one.port, 'full')), whyNone: '' };
  if (replaying) return none('A recording is replayed, so the resolver does not listen.');
  if (mode === 'system' && root !== '')
    return none('Below a root folder the resolver listens only where resolver.listen says.');
  if (stub === 'no') return none('The configuration wants no stub listener (resolver.stub = "no").');
  const own =
    mode === 'user'
      ? [at('127.0.0.53', 5300, 'full')]
      : [at('127.0.0.53', 53, 'full'), at('127.0.0.54', 53, 'proxy')];
  return { at: stub === 'yes' ? own : own.map((each) => ({ ...each, transport: stub })), whyNone: '' };
}

const isThere = (a: ListenAt, b: ListenAt): boolean => a.host === b.host && a.port === b.port;
