import type { Outcome } from '../control/daemon-control.ts';
import { durationText } from '../core/duration.ts';
import { describeProblem } from '../core/health.ts';
import type { ProfileChoice } from '../core/profile-choice.ts';
import type { Status } from '../core/status.ts';
import { TaskQueue } from '../core/task-queue.ts';
import type { DaemonParts } from './parts.ts';

/** What Overrides works with; `changed` makes the daemon decide anew and resolves when that is in force. */
export type OverridesNeeds = Pick<DaemonParts, 'clock' | 'configuration' | 'profileChoice'> & {
  changed(cause: string): Promise<void>;
};

/** What people put over the files for a while: a profile chosen by hand, a configuration on trial. Each ends by itself. */
export class Overrides {
  readonly #needs: OverridesNeeds;
  #choice: ProfileChoice | undefined;
  #trial: Status['trial'];
  /** What is done about trials. */
  readonly #trials = new TaskQueue();
  #cancelChoice = (): void => {};
  #cancelTrial = (): void => {};

  constructor(needs: OverridesNeeds) {
    this.#needs = needs;
    this.#choice = needs.profileChoice.first;
    this.#watchChoice();
  }

  /** For the status. */
  get told(): Pick<Status, 'profileByHand' | 'trial'> {
    const { profile: choice } = this;
    return {
      ...(choice === undefined ? {} : { profileByHand: choice }),
      ...(this.#trial === undefined ? {} : { trial: this.#trial }),
    };
  }

  /** The choice in force; a timer may be late after a sleep of the machine. */
  get profile(): ProfileChoice | undefined {
    const until = this.#choice?.until;
    return until !== undefined && until <= this.#needs.clock.now() ? undefined : this.#choice;
  }

  async useProfile(name: string | undefined, forMs: number | undefined): Promise<Outcome> {
    const { profiles } = this.#needs.configuration.current.config;
    if (name !== undefined && !profiles.some((profile) => profile.name === name)) {
      const known = profiles.map((profile) => `"${profile.name}"`).join(', ');
      const there = known === '' ? 'the configuration has none' : `there are ${known}`;
      return { ok: false, text: `Wanted a profile of the configuration, got "${name}"; ${there}.` };
    }
    const until = forMs === undefined ? {} : { until: this.#needs.clock.now() + forMs };
    this.#setChoice(name === undefined ? undefined : { name, ...until });
    await this.#needs.changed(
      name === undefined ? 'profiles are automatic again' : `profile "${name}" was chosen by hand`,
    );
    if (name === undefined) return { ok: true, text: 'Profiles are chosen automatically again.' };
    const end = forMs === undefined ? 'until "dnsctl profile auto"' : `for ${durationText(forMs)}`;
    return { ok: true, text: `Profile "${name}" comes first ${end}.` };
  }

  tryConfiguration(name: string, text: string, forMs: number): Promise<Outcome> {
    return this.#trials.run(() => this.#try(name, text, forMs));
  }

  endTrial(how: 'keep' | 'go back'): Promise<Outcome> {
    return this.#trials.run(() => this.#end(how));
  }

  close(): void {
    this.#cancelChoice();
    this.#cancelTrial();
  }

  async #try(name: string, text: string, forMs: number): Promise<Outcome> {
    const { clock, configuration, changed } = this.#needs;
    const { problems } = await configuration.try({ name, text });
    const [first] = problems;
    if (first !== undefined) return { ok: false, text: `${describeProblem(first)} Nothing was changed.` };
    this.#cancelTrial();
    const trial = { name, until: clock.now() + forMs };
    this.#trial = trial;
    this.#cancelTrial = clock.after(forMs, () => void this.#trials.run(() => this.#expire(trial)));
    await changed(`${name} is tried`);
    return {
      ok: true,
      text: `${name} is in force for ${durationText(forMs)}, then it goes unless it is kept.`,
    };
  }

  /** While its end waited, it may have been kept or another may have taken its place. */
  async #expire(trial: Status['trial']): Promise<void> {
    if (this.#trial === trial) await this.#end('go back');
  }

  async #end(how: 'keep' | 'go back'): Promise<Outcome> {
    const { configuration, changed } = this.#needs;
    if (this.#trial === undefined) return { ok: false, text: 'No configuration is tried.' };
    const { name } = this.#trial;
    // Writing may fail, and then the trial goes on to its end.
    const file = how === 'keep' ? await configuration.keepTried() : undefined;
    if (how === 'go back') await configuration.try(undefined);
    this.#cancelTrial();
    this.#trial = undefined;
    await changed(how === 'keep' ? `${name} is kept` : `the trial of ${name} ended`);
    return {
      ok: true,
      text: how === 'keep' ? `${name} is kept as ${file}.` : `${name} is out of force; all is as before.`,
    };
  }

  #setChoice(choice: ProfileChoice | undefined): void {
    this.#choice = choice;
    this.#needs.profileChoice.save(choice);
    this.#watchChoice();
  }

  #watchChoice(): void {
    this.#cancelChoice();
    const { clock, changed } = this.#needs;
    const choice = this.#choice;
    if (choice?.until === undefined) return;
    this.#cancelChoice = clock.after(Math.max(1, choice.until - clock.now()), () => {
      this.#setChoice(undefined);
      void changed(`the time of profile "${choice.name}" is over`);
    });
  }
}
