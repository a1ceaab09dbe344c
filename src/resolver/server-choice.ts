import { formatServer, type Server } from '../core/server.ts';
import type { ServerReport } from '../core/status.ts';
import type { Clock } from '../system/clock.ts';
import { Deadlines } from './deadlines.ts';
import { ServerHealth } from './server-health.ts';
import { type Attempt, type Candidate, type Chosen, Race } from './server-race.ts';
import type { StopSignal } from './stop.ts';

/** How the servers of one link are chosen: in the order given, or by how quickly they answered lately. */
export type ChoicePolicy = 'strict' | 'fastest';

/** Less than libc's five seconds, so that the client hears from us before it gives up. */
const DEADLINE_MS = 4500;

/** Chooses among the servers of links, and remembers how each did. */
export class ServerChoice {
  readonly #clock: Clock;
  readonly #policy: () => ChoicePolicy;
  readonly #health = new Map<string, ServerHealth>();
  /** What is known of each link's servers, as they were asked last. */
  readonly #links = new Map<
    string,
    { readonly servers: readonly Server[]; readonly entries: readonly Candidate[] }
  >();
  readonly #deadlines: Deadlines;

  constructor(clock: Clock, policy: () => ChoicePolicy) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, DEADLINE_MS);
    this.#policy = policy;
  }

  /**
   * Ask the servers of one link until one gives a usable answer. The next one is asked when one refuses or fails, and
   * also when it has not answered within its usual time, so a dead first server costs milliseconds. Rejects with a
   * DnskeeperError when nobody answered; resolves to the last refusal when nobody did better. `signal` ends everything;
   * `enough` tells that another link has answered: nobody more is asked, and those who were may still answer.
   */
  ask(
    link: string,
    servers: readonly Server[],
    attempt: Attempt,
    signal: StopSignal,
    enough?: StopSignal,
  ): Promise<Chosen> {
    const now = this.#clock.elapsed();
    const order = arrange(this.#entriesOf(link, servers), this.#policy(), now);
    const probes = order.length < 2 ? NOBODY : order.slice(1).filter(({ health }) => health.takeProbe(now));
    const [clock, deadlines] = [this.#clock, this.#deadlines];
    return new Race({ clock, deadlines, order, probes, attempt, signal, enough }).result;
  }

  /** How the servers of one link did, in the order in which a query would ask them now. */
  ranking(link: string, servers: readonly Server[]): readonly ServerReport[] {
    return arrange(this.#entriesOf(link, servers), this.#policy(), this.#clock.elapsed()).map(
      ({ server, health }) => health.report(link, formatServer(server)),
    );
  }

  /** How the servers of these links did; the others are forgotten. */
  report(
    links: readonly { readonly key: string; readonly servers: readonly Server[] }[],
  ): readonly ServerReport[] {
    const wanted = new Set<string>();
    const reports = links.flatMap(({ key, servers }) =>
      servers.map((server) => {
        wanted.add(keyOf(key, server));
        return this.#healthOf(key, server).report(key, formatServer(server));
      }),
    );
    for (const key of this.#health.keys()) if (!wanted.has(key)) this.#health.delete(key);
    this.#links.clear();
    return reports;
  }

  /** Forget all failures: the network has changed, or the machine woke up. */
  forgive(): void {
    for (const health of this.#health.values()) health.forgive();
  }

  #entriesOf(link: string, servers: readonly Server[]): readonly Candidate[] {
    const held = this.#links.get(link);
    if (held?.servers === servers) return held.entries;
    const entries = servers.map((server) => ({ server, health: this.#healthOf(link, server) }));
    this.#links.set(link, { servers, entries });
    return entries;
  }

  #healthOf(link: string, server: Server): ServerHealth {
    const key = keyOf(link, server);
    const held = this.#health.get(key);
    if (held !== undefined) return held;
    const health = new ServerHealth();
    this.#health.set(key, health);
    return health;
  }
}

const keyOf = (link: string, server: Server): string => `${link} ${formatServer(server)}`;

const NOBODY: readonly Candidate[] = [];

/** Those that failed lately come last; a server that was never tried counts as quick, so that it is tried. */
function arrange(entries: readonly Candidate[], policy: ChoicePolicy, now: number): readonly Candidate[] {
  if (entries.length < 2) return entries;
  return entries.toSorted(
    (a, b) =>
      Number(a.health.suspect) - Number(b.health.suspect) ||
      (policy === 'fastest' ? a.health.expectedMs(now) - b.health.expectedMs(now) : 0),
  );
}
