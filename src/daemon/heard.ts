import { tellsOfNetwork } from '../core/earlier-conf.ts';
import {
  fold,
  type Snapshot,
  type SourceEvent,
  type SourceHealth,
  type SourceName,
} from '../core/snapshot.ts';
import type { Status } from '../core/status.ts';

/** What every source said last, and how each of them is. */
export class Heard {
  readonly #names: readonly SourceName[];
  readonly #health: Map<SourceName, SourceHealth>;
  #snapshot: Snapshot = {};
  #events = 0;
  #networkNamed = false;

  /** `names`: the sources that are there from the start. */
  constructor(names: readonly SourceName[]) {
    this.#names = names;
    this.#health = new Map(names.map((name) => [name, NOT_YET]));
  }

  /** Take in an event, in place of what its source said before. */
  take(event: SourceEvent): void {
    this.#events++;
    if (event.kind === 'health') {
      this.#health.set(event.source, event.health);
      return;
    }
    this.#snapshot = fold(this.#snapshot, event);
    this.#networkNamed ||= tellsOfNetwork(event);
    if (this.#stateOf(event.source) === 'starting')
      this.#health.set(event.source, { state: 'running', detail: `First heard: ${event.cause}.` });
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Whether a network has handed servers out in this run. */
  get networkNamed(): boolean {
    return this.#networkNamed;
  }

  /** For the status. */
  get sources(): Status['sources'] {
    return [...this.#health].map(([name, health]) => ({ name, ...health }));
  }

  /** How many events were taken in. */
  get events(): number {
    return this.#events;
  }

  /** A source that only tells how it is has not spoken, unless it is in no state to say more. */
  get allSpoke(): boolean {
    return this.#names.every((name) => name in this.#snapshot || SILENT.has(this.#stateOf(name)));
  }

  #stateOf(name: SourceName): SourceHealth['state'] {
    return (this.#health.get(name) ?? NOT_YET).state;
  }
}

const NOT_YET: SourceHealth = { state: 'starting', detail: 'It has not spoken yet.' };
const SILENT: ReadonlySet<SourceHealth['state']> = new Set(['absent', 'gone', 'failed']);
