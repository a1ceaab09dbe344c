import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../src/core/config.ts';
import type { Plan } from '../../src/core/plan.ts';
import { makePlan } from '../../src/core/policy.ts';
import { renderResolvConf, renderUpstreamConf } from '../../src/core/resolv-conf.ts';
import { formatServer } from '../../src/core/server.ts';
import type { LinkDns, Snapshot, SourceState } from '../../src/core/snapshot.ts';
import { readToml } from '../../src/system/toml.ts';
import { link } from '../support/links.ts';

const FOLDER = join(import.meta.dirname, '../cases');
const TIME = Date.UTC(2026, 10, 21, 6, 30);

/** GOLDEN=update writes what came out; read the difference before committing it. */
const UPDATE = process.env['GOLDEN'] === 'update';

describe('each folder of test/cases: snapshot.json and config.toml in, plan and files out', () => {
  for (const name of readdirSync(FOLDER)) {
    it(name.replaceAll('-', ' '), () => {
      const folder = join(FOLDER, name);
      const plan = makePlan(readSnapshot(folder), readConfigOf(folder));
      compare(join(folder, 'plan.txt'), describePlan(plan));
      compare(join(folder, 'resolv.conf'), renderResolvConf(plan, TIME));
      compare(join(folder, 'upstream.conf'), renderUpstreamConf(plan, TIME));
    });
  }
});

/** Links may leave out what does not matter to the case, and are without what they give as null. */
function readSnapshot(folder: string): Snapshot {
  const raw = JSON.parse(readFileSync(join(folder, 'snapshot.json'), 'utf8')) as Record<
    string,
    Omit<SourceState, 'links'> & { links?: Partial<LinkDns>[] }
  >;
  return Object.fromEntries(
    Object.entries(raw).map(([source, state]) => [
      source,
      { ...state, links: (state.links ?? []).map((fields) => withoutNulls(link(fields))) },
    ]),
  );
}

const withoutNulls = (fields: LinkDns): LinkDns =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as unknown as LinkDns;

function readConfigOf(folder: string) {
  const file = join(folder, 'config.toml');
  if (!existsSync(file)) return readConfig([]).config;
  const text = readFileSync(file, 'utf8');
  const toml = readToml(text);
  if (!('values' in toml)) throw new Error(toml.problem.message);
  const { config, problems } = readConfig([{ file, text, values: toml.values }]);
  expect(problems).toEqual([]);
  return config;
}

function compare(file: string, text: string): void {
  if (UPDATE) writeFileSync(file, text);
  expect(text, file).toBe(readFileSync(file, 'utf8'));
}

/** The whole plan, one fact a line, for reading. */
function describePlan(plan: Plan): string {
  const lines = [
    ...plan.upstream.map((c) => `server ${formatServer(c.value)}: ${c.reason}`),
    ...plan.nameservers.map((c) => `nameserver ${formatServer(c.value)}: ${c.reason}`),
    ...plan.search.map((c) => `search ${c.value}: ${c.reason}`),
    ...plan.options.map(
      (c) => `option ${c.value.name}${c.value.value === undefined ? '' : `:${c.value.value}`}: ${c.reason}`,
    ),
    ...plan.leftOut.map((l) => `left out ${l.what} ${l.text}: ${l.reason}`),
    ...(plan.leftOutMore > 0 ? [`left out ${plan.leftOutMore} more`] : []),
    ...plan.links.map((l) =>
      [
        `link ${l.key}:`,
        `${l.servers.length} servers,`,
        l.defaultRoute ? 'answers every name,' : 'answers its own names,',
        l.exclusive ? 'exclusive' : 'shared',
        ...(l.connectivity === 'portal' ? ['- behind a captive portal'] : []),
        ...(l.unused === undefined ? [] : [`- unused: ${l.unused}`]),
      ].join(' '),
    ),
    ...plan.routes.map(
      (r) => `route ${r.kind} ${r.domain} to ${r.link}${r.exclusive ? ' alone' : ''}: ${r.reason}`,
    ),
    ...plan.inexpressible.map((text) => `not in a plain file: ${text}`),
    ...plan.profiles.map(
      (p) => `profile ${p.name} for ${p.links.length === 0 ? 'no link' : p.links.join(', ')}: ${p.reason}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
