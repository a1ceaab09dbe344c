import { expect, test } from 'vitest';
import { recordsInterface } from '../../src/control/records.ts';
import { readDescription } from '../support/varlink-idl.ts';

test('the description names each method, and the reply comes when the records are taken', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const made = recordsInterface(() => promise);
  expect(readDescription(made.description).methods).toEqual(Object.keys(made.methods));
  let replied = false;
  const call = { parameters: {}, peer: undefined, signal: new AbortController().signal };
  const reply = Promise.resolve(made.methods['Take']?.answer?.(call)).then((parameters) => {
    replied = true;
    return parameters;
  });
  await Promise.resolve();
  expect(replied).toBe(false);
  resolve();
  expect(await reply).toEqual({});
});
