import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readConfig } from '../../src/core/config.ts';
import { CONFIG_KEYS } from '../../src/core/config-keys.ts';
import { describeProblem } from '../../src/core/health.ts';
import { makePlan } from '../../src/core/policy.ts';
import { PROFILE_KEYS } from '../../src/core/profile-keys.ts';
import { renderResolvConf, renderUpstreamConf } from '../../src/core/resolv-conf.ts';
import { link, snapshotOf } from '../support/links.ts';

/** Words that go wrong where they are not looked at, and all others. */
const text = fc.oneof(
  fc.constantFrom(
    'a\nnameserver 6.6.6.6',
    '../../etc/passwd',
    '\u202e\u001b[31m',
    '**************************x',
    '{a,b',
    '[z-a]',
    '__proto__',
    '192.0.2.1',
    '~corp.example',
    'dns+tls://192.0.2.1#\n',
    'ndots:99999999999',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

/** Values as TOML has them, of any kind and depth. */
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.integer(),
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.date(),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(text, tie('any'), { maxKeys: 3 }),
  ),
})).any;

/** `a.b` as a table in a table. */
function nested(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, each] of entries) {
    const [first = '', second] = key.split('.');
    if (second === undefined) values[first] = each;
    else values[first] = { ...Object(values[first] ?? {}), [second]: each };
  }
  return values;
}

const tableOf = (keys: readonly { readonly key: string }[]) =>
  fc
    .array(
      fc.tuple(
        fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...keys.map(({ key }) => key)) }, text),
        value,
      ),
      {
        maxLength: 6,
      },
    )
    .map(nested);

it('whatever stands in the files, reading ends, what is wrong is told in clean words, and no raw text reaches a file', () => {
  const document = fc
    .tuple(tableOf(CONFIG_KEYS), fc.array(tableOf(PROFILE_KEYS), { maxLength: 3 }))
    .map(([table, profiles]) => ({ ...table, profile: profiles.map((each) => ({ name: 'x', ...each })) }));
  const home = snapshotOf([link({ servers: ['192.0.2.53'], searches: ['home.example'] })]);
  fc.assert(
    fc.property(fc.array(document, { maxLength: 2 }), (documents) => {
      const { config, problems } = readConfig(
        documents.map((values, index) => ({ file: `${index}.toml`, text: '', values })),
      );
      expect(problems.length).toBeLessThanOrEqual(64);
      for (const problem of problems) {
        expect(describeProblem(problem)).toMatch(/^[ -~\u2010-\u2027]+$/);
        expect(describeProblem(problem).length).toBeLessThan(1500);
      }
      const plan = makePlan(home, config);
      for (const rendered of [renderResolvConf(plan, 0), renderUpstreamConf(plan, 0)])
        expect(rendered).toMatch(/^(?:(?:#[ -~]*|(?:nameserver|search|options|sortlist) [ -~]+)?\n)*$/);
    }),
    { numRuns: 500 },
  );
});
