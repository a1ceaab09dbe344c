import type { Plan } from '../core/plan.ts';

/** What is to be put into force. */
export interface Decision {
  readonly plan: Plan;
  /** When the plan last changed, for the header of the files (milliseconds since the epoch). */
  readonly time: number;
  /** What made it change, one clause. */
  readonly cause: string;
  /** The address of our resolver, where resolv.conf is to list it instead of the plan's servers. */
  readonly nameserver?: string;
}

/**
 * One place where a plan takes effect: a file, a link, a resolver. Applied in a fixed order, undone in reverse.
 * `apply` is never called twice at once; it is idempotent; it throws a DnskeeperError when the plan is not in force,
 * `DEADLINE` without touching anything when `signal` has aborted before it began.
 */
export interface Output {
  readonly name: string;
  apply(decision: Decision, signal: AbortSignal): Promise<void>;
  /** Leave the machine with names that resolve without us; called once, last. */
  close(): Promise<void>;
}
