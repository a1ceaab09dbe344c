/**
 * `npm run bench`: what the daemon needs beside what others need for the same, as one table.
 * `--only plan,burst` picks measurements, `--idle SECONDS` and `--switches COUNT` say how long two of them go on.
 * A full run writes bench/results.md.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { burst } from './burst.ts';
import { noLab } from './lab.ts';
import type { Measurement, Options, Row } from './measurement.ts';
import { plan } from './plan.ts';
import { processes } from './processes.ts';
import { resolvconf } from './resolvconf.ts';
import { standin } from './standin.ts';
import { switches } from './switches.ts';
import { describeMachine, table } from './table.ts';

const MEASUREMENTS: readonly Measurement[] = [switches, burst, processes, plan, standin, resolvconf];
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    idle: { type: 'string', default: '60' },
    switches: { type: 'string', default: '64' },
  },
});
const options: Options = { idleSeconds: whole('idle', 10), switches: whole('switches', 4) };
const chosen = choose(values.only);
const rows: Row[] = [];
for (const measurement of chosen) {
  console.error(`measuring: ${measurement.what}`);
  rows.push(...(await measure(measurement)));
}
const text = `${describeMachine()}\n\n${table(rows)}\n`;
console.log(text);
if (values.only === undefined)
  writeFileSync(
    join(import.meta.dirname, 'results.md'),
    `# Results of \`npm run bench\`\n\n${text}\n${legend()}`,
  );
process.exitCode = rows.some((row) => row.reached === false) ? 1 : 0;

function whole(name: 'idle' | 'switches', least: number): number {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`wanted a whole number from ${least} on for --${name}, got ${values[name]}`);
  return value;
}

function choose(only: string | undefined): readonly Measurement[] {
  if (only === undefined) return MEASUREMENTS;
  return only.split(',').map((name) => {
    const measurement = MEASUREMENTS.find((one) => one.name === name);
    if (measurement !== undefined) return measurement;
    throw new Error(`wanted --only with ${MEASUREMENTS.map((one) => one.name).join(', ')}, got ${name}`);
  });
}

async function measure(measurement: Measurement): Promise<readonly Row[]> {
  const reason = measurement.lab ? await noLab() : undefined;
  if (reason === undefined) return measurement.run(options);
  return [{ what: measurement.what, must: '', measured: `skipped: ${reason}`, peer: '', ratio: '' }];
}

function legend(): string {
  return [
    'Figures of a shared virtual machine move from run to run; the ratios to the peer, measured in the same run and in turns,',
    'move less. Medians unless a line says otherwise. How each figure comes about stands at the head of its file in bench.',
    '',
  ].join('\n');
}
