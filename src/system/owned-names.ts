import { DnskeeperError } from '../core/errors.ts';
import type { BusSignal, BusValue } from './bus.ts';
import type { Reply } from './bus-connection.ts';
import type { NameOptions, NameState } from './bus-service.ts';

/** Ask the bus itself; nothing is told when the connection breaks before the answer. */
export type AskBus = (
  member: string,
  signature: string,
  body: readonly BusValue[],
  settle: (reply: Reply) => void,
) => void;

/** The names that one bus connection after the other is to own. */
export class OwnedNames {
  readonly #ask: AskBus;
  readonly #names = new Map<string, OwnedName>();
  readonly #releases = new Set<() => void>();
  #ready = false;

  /** `ask` is used only between `connected` and `lost`. */
  constructor(ask: AskBus) {
    this.#ask = ask;
  }

  own(name: string, options: NameOptions, listener: (state: NameState) => void): () => Promise<void> {
    if (this.#names.has(name)) throw new DnskeeperError('BUS', `The name ${name} is asked for twice.`);
    const owned: OwnedName = { name, options, listener, state: undefined };
    this.#names.set(name, owned);
    if (this.#ready) this.#request(owned);
    return () => this.#release(owned);
  }

  connected(): void {
    this.#ready = true;
    for (const owned of this.#names.values()) this.#request(owned);
  }

  lost(): void {
    this.#ready = false;
    for (const owned of this.#names.values()) tell(owned, { state: 'away' });
    for (const done of [...this.#releases]) done();
  }

  /** NameAcquired and NameLost, which the bus sends to us alone. */
  onSignal({ member, body: [name] }: BusSignal): void {
    const owned = typeof name === 'string' ? this.#names.get(name) : undefined;
    if (owned === undefined) return;
    if (member === 'NameAcquired') tell(owned, { state: 'owned' });
    else if (member === 'NameLost') tell(owned, { state: owned.options.queue ? 'queued' : 'taken' });
  }

  #request(owned: OwnedName): void {
    this.#ask('RequestName', 'su', [owned.name, flagsOf(owned.options)], (reply) => {
      if (this.#names.get(owned.name) === owned) tell(owned, stateOf(reply));
    });
  }

  #release(owned: OwnedName): Promise<void> {
    if (this.#names.get(owned.name) !== owned) return Promise.resolve();
    this.#names.delete(owned.name);
    if (!this.#ready) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      this.#releases.delete(done);
      resolve();
    };
    this.#releases.add(done);
    this.#ask('ReleaseName', 's', [owned.name], done);
    return promise;
  }
}

interface OwnedName {
  readonly name: string;
  readonly options: NameOptions;
  readonly listener: (state: NameState) => void;
  state: NameState['state'] | undefined;
}

/** DBUS_NAME_FLAG_* and DBUS_REQUEST_NAME_REPLY_* of the D-Bus specification. */
const flagsOf = ({ allowReplacement, replace, queue }: NameOptions): number =>
  (allowReplacement ? 1 : 0) | (replace ? 2 : 0) | (queue ? 0 : 4);

function stateOf(reply: Reply): NameState {
  if (!reply.ok) return { state: 'refused', reason: reply.error.message };
  const [code] = reply.body;
  if (code === 1 || code === 4) return { state: 'owned' };
  return { state: code === 2 ? 'queued' : 'taken' };
}

/** The answer and the signal tell the same; a listener hears it once. */
function tell(owned: OwnedName, state: NameState): void {
  if (owned.state === state.state) return;
  owned.state = state.state;
  owned.listener(state);
}
