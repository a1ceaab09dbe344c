import { describe, expect, it } from 'vitest';
import { DnskeeperError } from '../../src/core/errors.ts';
import type { Output } from '../../src/outputs/output.ts';
import { decisionOf } from '../support/decision.ts';

/** One output under test, with a look at what it keeps. */
export interface OutputUnderTest {
  readonly output: Output;
  /** Everything it keeps, as text; equal texts mean that nothing changed, inode and time of change included. */
  state(): string;
  /** Whether names resolve from what it left. */
  usable(): boolean;
  /** From now on what it keeps cannot be changed and is not as wanted. */
  breakIt(): void;
}

/** What every output promises (outputs/output.ts). `make` is called once in each test. */
export function outputContract(name: string, make: () => Promise<OutputUnderTest> | OutputUnderTest): void {
  const go = new AbortController().signal;

  describe(`${name} keeps the contract of outputs`, () => {
    it('puts a decision into force', async () => {
      const { output, usable } = await make();
      await output.apply(decisionOf('first'), go);
      expect(usable()).toBe(true);
    });

    it('changes nothing when the same decision comes again', async () => {
      const { output, state } = await make();
      await output.apply(decisionOf('first', 1), go);
      const before = state();
      await output.apply(decisionOf('first', 2), go);
      expect(state()).toBe(before);
    });

    it('does nothing once the signal has aborted, and says that the plan is not in force', async () => {
      const { output, state } = await make();
      const before = state();
      const late = output.apply(decisionOf('first'), AbortSignal.abort());
      await expect(late).rejects.toMatchObject({ code: 'DEADLINE' });
      expect(state()).toBe(before);
    });

    it('throws a DnskeeperError when the plan is not in force', async () => {
      const { output, breakIt } = await make();
      await output.apply(decisionOf('first'), go);
      breakIt();
      await expect(output.apply(decisionOf('second'), go)).rejects.toThrow(DnskeeperError);
    });

    it('leaves a usable state when it closes', async () => {
      const { output, usable } = await make();
      await output.apply(decisionOf('first'), go);
      await output.close();
      expect(usable()).toBe(true);
    });
  });
}
