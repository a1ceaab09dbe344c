import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import type { ResolverStatus } from '../core/status.ts';
import type { ResolvedPresence } from '../core/takeover.ts';
import type { ListenAt, Listener, Reception } from '../resolver/listener.ts';
import type { Resolver } from '../resolver/resolver.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import type { Output } from './output.ts';

/** The resolver as an output: its routes follow the plan, its sockets follow systemd-resolved. */
export interface ResolverOutput extends Output {
  status(): ResolverStatus;
  /** Hear of every change of state until the returned function is called. */
  onStatus(listener: (status: ResolverStatus) => void): () => void;
  /** What the bus tells about systemd-resolved, which has the addresses before us. */
  resolved(presence: ResolvedPresence): Promise<void>;
  /** We end: from now on no file may name the resolver, which goes on answering until `close`. */
  standDown(): void;
  /** Whether our own sockets stand at an address. */
  isOwn(host: string, port: number): boolean;
}

/** What the output works with. */
export interface ResolverOutputNeeds {
  readonly resolver: Resolver;
  readonly reception: Reception;
  /** Where to listen now; empty with the reason where it must not. */
  readonly places: () => { readonly at: readonly ListenAt[]; readonly whyNone: string };
  /** Whether systemd-resolved's running stands in the way: not where the addresses are others than its own. */
  readonly sharesAddresses: () => boolean;
  /** Open one address, UDP and TCP; rejects with a DnskeeperError when it cannot be had. */
  readonly listen: (at: ListenAt, reception: Reception) => Promise<readonly Listener[]>;
  readonly clock: Clock;
  readonly log: Log;
}

/** The resolver's output. Everything it does runs one after the other. */
export function resolverOutput(needs: ResolverOutputNeeds): ResolverOutput {
  const { resolver, reception, clock, log } = needs;
  const listeners = new Set<(status: ResolverStatus) => void>();
  let presence: ResolvedPresence = 'unknown';
  let open: readonly Listener[] = [];
  let wantedText = '';
  let state: ResolverStatus['state'] = 'off';
  let reason = 'dnskeeperd has just started.';
  let leaving = false;
  let closed = false;
  let attempt = 0;
  let cancelRetry = (): void => {};
  let queue: Promise<unknown> = Promise.resolve();

  function enqueue<T>(task: () => Promise<T>): Promise<T> {
    const run = queue.then(task);
    queue = run.catch(() => {});
    return run;
  }

  function tell(next: ResolverStatus['state'], why: string): void {
    if (next === state && why === reason) return;
    state = next;
    reason = why;
    log[next === 'failed' ? 'warn' : 'info']({ state }, why);
    for (const listener of listeners) listener(status());
  }

  const wanted = (): { readonly at: readonly ListenAt[]; readonly whyNone: string } => {
    if (closed) return { at: [], whyNone: 'dnskeeperd ends.' };
    if (needs.sharesAddresses()) {
      if (presence === 'running')
        return { at: [], whyNone: 'systemd-resolved runs and answers on these addresses.' };
      if (presence === 'unknown')
        return { at: [], whyNone: 'The bus has not told yet whether systemd-resolved runs.' };
    }
    return needs.places();
  };

  /** Bring the sockets in line with what is wanted. Never rejects: what went wrong is a state. */
  async function settle(): Promise<void> {
    cancelRetry();
    const { at, whyNone } = wanted();
    const text = JSON.stringify(at);
    if (text === wantedText && state !== 'failed') {
      if (at.length === 0) tell('off', whyNone);
      return;
    }
    // First the word that nobody is to be sent here any more, then the sockets.
    if (open.length > 0) tell('off', at.length === 0 ? whyNone : 'The addresses to listen on have changed.');
    await release();
    wantedText = text;
    if (at.length === 0) {
      tell('off', whyNone);
      return;
    }
    try {
      for (const each of at) open = [...open, ...(await needs.listen(each, reception))];
      attempt = 0;
      tell('bound', `It answers on ${addresses().join(', ')}.`);
    } catch (error) {
      await release();
      attempt++;
      tell(
        'failed',
        `The local resolver cannot listen: ${messageOf(error)}; it is tried again with growing pauses.`,
      );
      cancelRetry = clock.after(retryPause(attempt), () => void enqueue(settle));
    }
  }

  async function release(): Promise<void> {
    const old = open;
    open = [];
    await Promise.all(old.map((listener) => listener.close()));
  }

  const addresses = (): readonly string[] => [
    ...new Set(
      open.map(({ at }) => (at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`)),
    ),
  ];

  function status(): ResolverStatus {
    const named = open.find(({ at }) => at.port === 53 && at.service === 'full')?.at.host;
    const usable = state === 'bound' && !leaving && named !== undefined;
    const unnamed = state === 'bound' && !leaving && named === undefined;
    return {
      state,
      reason: leaving
        ? 'dnskeeperd ends.'
        : unnamed
          ? `${reason} A resolv.conf can name none of these, because it cannot say a port.`
          : reason,
      addresses: addresses(),
      ...(usable ? { nameserver: named } : {}),
      servers: resolver.servers(),
      ...reception.traffic,
    };
  }

  return {
    name: 'resolver',
    async apply({ plan }, signal) {
      await enqueue(async () => {
        if (signal.aborted || closed) return;
        resolver.apply(plan);
        await settle();
      });
    },
    status,
    onStatus(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    resolved: (told) =>
      enqueue(async () => {
        presence = told;
        if (!closed) await settle();
      }),
    standDown() {
      leaving = true;
    },
    isOwn: (host, port) => open.some(({ at }) => at.port === port && at.host === host),
    async close() {
      cancelRetry();
      await enqueue(async () => {
        closed = true;
        await settle();
        reception.close();
        resolver.close();
      });
    },
  };
}
