/** The worked example of README: its commands run against the recording of a laptop with its VPN up. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(import.meta.dirname, '..');

/** The same everywhere: what a service manager or a terminal left in ours would change what the programs say. */
const ENVIRONMENT = { PATH: process.env['PATH'] ?? '', COLUMNS: '100', NO_COLOR: '1' };

/** What README shows, and what each line runs below the root folder of the example. */
const COMMANDS: readonly { readonly shown: string; readonly run: (root: string) => readonly string[] }[] = [
  { shown: 'cat /etc/resolv.conf', run: (root) => ['cat', join(root, 'etc/resolv.conf')] },
  { shown: 'dnsctl', run: (root) => [process.execPath, join(ROOT, 'src/dnsctl.ts'), '--root', root] },
  {
    shown: 'dnsctl explain git.corp.example',
    run: (root) => [
      process.execPath,
      join(ROOT, 'src/dnsctl.ts'),
      '--root',
      root,
      'explain',
      'git.corp.example',
    ],
  },
];

/** The example as README has it, without the lines that differ at every run (times, process, memory). */
export async function workedExample(): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'dnskeeper-example-'));
  mkdirSync(join(root, 'etc'));
  const recording = join(ROOT, 'examples/recordings/vpn-up.jsonl');
  const daemon = spawn(process.execPath, [join(ROOT, 'src/main.ts'), '--root', root, '--replay', recording], {
    env: ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  try {
    for await (const line of createInterface({ input: daemon.stderr }))
      if (line.includes('was replayed')) break;
    const parts: string[] = [];
    for (const { shown, run } of COMMANDS) parts.push(`$ ${shown}\n${withoutTimes(await output(run(root)))}`);
    return parts.join('\n');
  } finally {
    daemon.kill();
    if (daemon.exitCode === null) await once(daemon, 'exit');
    rmSync(root, { recursive: true, force: true });
  }
}

async function output([program = '', ...args]: readonly string[]): Promise<string> {
  const child = spawn(program, args, {
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await once(child, 'close');
  return text;
}

const withoutTimes = (text: string): string =>
  text.replace(/\n\nLast change\n[\s\S]*$/, '\n').replace(/^# Changed: .*\n/m, '');

if (process.argv[1] === import.meta.filename) console.log(await workedExample());
