import { messageOf } from '../core/errors.ts';
import { retryPause } from '../core/pace.ts';
import type { Decision, Output } from '../outputs/output.ts';
import type { DaemonParts, PublishedFiles } from './parts.ts';

const DEADLINE_MS = 15_000;

/** What is applied, and what it is decided with. */
export type OutputsInOrderNeeds = Pick<DaemonParts, 'resolver' | 'link' | 'others' | 'log'> & {
  readonly files: PublishedFiles;
  /** Ends what is being applied. */
  readonly stop: AbortSignal;
  /** Asked anew for every output: one that is applied may change what the next is to do. */
  readonly decisionFor: (cause: string) => Decision;
};

/** An output that is not in force. */
export interface FailedOutput {
  readonly name: string;
  /** How long to wait before everything is applied again, in milliseconds. */
  readonly retryAfter: number;
}

/** The resolver, the files, the link and the rest: applied in this order, closed in reverse. */
export class OutputsInOrder {
  readonly #needs: OutputsInOrderNeeds;
  readonly #outputs: readonly Output[];
  readonly #failures = new Map<string, string>();
  readonly #written = Promise.withResolvers<void>();
  #failed = 0;
  #attempt = 0;

  constructor(needs: OutputsInOrderNeeds) {
    const { resolver, files, link, others } = needs;
    this.#needs = needs;
    this.#outputs = [resolver, files, link, ...others];
  }

  /** Outputs that are not in force, with the message of their error. */
  get failures(): ReadonlyMap<string, string> {
    return this.#failures;
  }

  /** How often one failed. */
  get failed(): number {
    return this.#failed;
  }

  /** Resolves when the files were in force for the first time. */
  get written(): Promise<void> {
    return this.#written.promise;
  }

  /** Apply each in turn; the one that failed, which stops those after it. */
  async apply(cause: string): Promise<FailedOutput | undefined> {
    const { files, resolver, stop } = this.#needs;
    let listed: string | undefined;
    for (const output of this.#outputs) {
      const decision = this.#needs.decisionFor(cause);
      if (output === files) listed = decision.nameserver;
      try {
        await this.#applyTo(output, decision);
      } catch (error) {
        return stop.aborted ? undefined : this.#fail(output.name, messageOf(error));
      }
      this.#failures.delete(output.name);
      if (output === files) this.#written.resolve();
    }
    if (stop.aborted) return undefined;
    this.#attempt = 0;
    resolver.filesName(listed);
    return undefined;
  }

  /** Apply to the resolver alone. What fails is tried again, and told where it fails again, when all have their turn. */
  async applyToResolver(decision: Decision): Promise<void> {
    const { resolver, log } = this.#needs;
    await resolver.apply(decision, this.#deadline()).catch((error: unknown) => {
      log.debug({}, messageOf(error));
    });
  }

  /** At the end, when nothing else is applied any more: have the files list the real servers. */
  async leaveServers(cause: string): Promise<void> {
    const { files, link, resolver, log } = this.#needs;
    const decision = this.#needs.decisionFor(cause);
    try {
      await files.apply(decision, AbortSignal.timeout(DEADLINE_MS));
      await link.apply(decision, AbortSignal.timeout(DEADLINE_MS));
      resolver.filesName(decision.nameserver);
    } catch (error) {
      log.error({}, `The real servers could not be written at the end: ${messageOf(error)}`);
    }
  }

  async close(): Promise<void> {
    for (const output of this.#outputs.toReversed()) await output.close();
  }

  async #applyTo(output: Output, decision: Decision): Promise<void> {
    const { files, link } = this.#needs;
    // What somebody has just written there is dealt with by rule, not lost under our own text.
    if (output === files && !(await files.isIntact())) await link.writtenThrough();
    await output.apply(decision, this.#deadline());
  }

  #deadline(): AbortSignal {
    return AbortSignal.any([this.#needs.stop, AbortSignal.timeout(DEADLINE_MS)]);
  }

  #fail(name: string, message: string): FailedOutput {
    this.#failed++;
    this.#attempt++;
    this.#failures.set(name, message);
    this.#needs.log.error({ output: name, attempt: this.#attempt }, message);
    return { name, retryAfter: retryPause(this.#attempt) };
  }
}
