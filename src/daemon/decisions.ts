import { withoutEarlier } from '../core/earlier-conf.ts';
import { chooseFileMode, type FileModeDecision } from '../core/file-mode.ts';
import { holdOverGap } from '../core/grace.ts';
import type { Plan } from '../core/plan.ts';
import { makePlan } from '../core/policy.ts';
import type { Decision } from '../outputs/output.ts';
import type { Heard } from './heard.ts';
import type { Overrides } from './overrides.ts';
import type { DaemonParts } from './parts.ts';

/** What is decided from. */
export type DecisionsNeeds = Pick<DaemonParts, 'clock' | 'configuration' | 'link' | 'resolver'> & {
  readonly heard: Pick<Heard, 'snapshot' | 'networkNamed'>;
  readonly overrides: Pick<Overrides, 'profile'>;
};

/** What is to hold: the plan, since when, and what the files list of it. */
export class Decisions {
  readonly #needs: DecisionsNeeds;
  #plan: Plan;
  /** By which plans are compared; empty before the first. */
  #text = '';
  #time: number;
  #gapSince: number | undefined;
  #graceUntil: number | undefined;
  /** The mode that the files were last decided for. */
  #fileMode: FileModeDecision = { mode: 'file', reason: 'Nothing is decided yet.' };
  #made = 0;

  constructor(needs: DecisionsNeeds) {
    this.#needs = needs;
    this.#time = needs.clock.now();
    this.#plan = makePlan({}, needs.configuration.current.config);
  }

  /** Make the plan that is to hold now; whether it says something new. */
  decide(): boolean {
    const now = this.#needs.clock.now();
    const { graceMs } = this.#needs.configuration.current.config;
    const last = this.begun ? this.#plan : undefined;
    const held = holdOverGap(last, this.planOfNow(), this.#gapSince, now, graceMs);
    this.#made++;
    this.#gapSince = held.until === undefined ? undefined : (this.#gapSince ?? now);
    this.#graceUntil = held.until;
    this.#plan = held.plan;
    const text = JSON.stringify(held.plan);
    if (text === this.#text) return false;
    this.#text = text;
    this.#time = now;
    return true;
  }

  /** The plan that was decided last. */
  get plan(): Plan {
    return this.#plan;
  }

  /** Whether a plan was decided yet. */
  get begun(): boolean {
    return this.#text !== '';
  }

  /** How many plans were made. */
  get made(): number {
    return this.#made;
  }

  /** Until when the last good servers are held over a gap, if they were when the plan was decided. */
  get graceUntil(): number | undefined {
    return this.#graceUntil;
  }

  get fileMode(): FileModeDecision {
    return this.#fileMode;
  }

  /** The plan that follows from what was heard so far, without regard to a gap. */
  planOfNow(): Plan {
    const { heard, configuration, overrides } = this.#needs;
    const { config } = configuration.current;
    const fit = heard.networkNamed ? withoutEarlier(config) : config;
    return makePlan(heard.snapshot, fit, overrides.profile?.name);
  }

  /** The mode that the files would be decided for now. */
  modeOfNow(): FileModeDecision {
    const { link, resolver, configuration } = this.#needs;
    return chooseFileMode({
      plan: this.#plan,
      config: configuration.current.config,
      resolver: resolver.status(),
      link: link.status().state,
    });
  }

  /** What the outputs are to put into force with everything as it is now. */
  forOutputs(cause: string): Decision {
    this.#fileMode = this.modeOfNow();
    return this.#decision(cause, this.#fileMode);
  }

  /** The same for the resolver alone, while the files stay as they were decided. */
  forResolver(cause: string): Decision {
    return this.#decision(cause, this.modeOfNow());
  }

  /** What the files list changes from now on, though the plan stays. */
  filesChange(): void {
    this.#time = this.#needs.clock.now();
  }

  #decision(cause: string, mode: FileModeDecision): Decision {
    const nameserver = nameserverOf(mode);
    const decision = { plan: this.#plan, time: this.#time, cause };
    return nameserver === undefined ? decision : { ...decision, nameserver };
  }
}

/** The address of our resolver that the files list in that mode. */
export const nameserverOf = (mode: FileModeDecision): string | undefined =>
  mode.mode === 'stub' ? mode.nameserver : undefined;
