import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { bundle } from '../../scripts/bundle.ts';
import { bareEnvironment } from '../support/bare-environment.ts';
import { temporaryFolder } from '../support/folder.ts';

/**
 * The command that the package installs carries out plain calls itself and hands the rest to the whole program: nobody may
 * be able to tell which of the two it was.
 */
const repository = join(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'dnskeeper-test-'));
const COMMAND = join(scratch, 'resolvconf');
const PROGRAM = join(scratch, 'bundle/resolvconf.mjs');
/** Notes that it was called, and goes on as Node.js. */
const RUNTIME = join(scratch, 'node');

beforeAll(async () => {
  await bundle(repository, join(scratch, 'bundle'), { resolvconf: 'src/resolvconf.ts' });
  writeFileSync(
    RUNTIME,
    `#!/bin/sh\n[ -z "$CALLED" ] || echo called >>"$CALLED"\nexec '${process.execPath}' "$@"\n`,
  );
  const text = readFileSync(join(repository, 'packaging/resolvconf'), 'utf8')
    .replaceAll('/usr/lib/dnskeeper/node', RUNTIME)
    .replaceAll('/usr/lib/dnskeeper/resolvconf.mjs', PROGRAM);
  writeFileSync(COMMAND, text);
  for (const file of [RUNTIME, COMMAND]) chmodSync(file, 0o755);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function newRoot(): string {
  const root = temporaryFolder('run/dnskeeper/records', 'etc');
  for (const [index, name] of ['lo', 'eth0', 'eth0.100', 'wg0'].entries()) {
    mkdirSync(join(root, 'sys/class/net', name), { recursive: true });
    writeFileSync(join(root, 'sys/class/net', name, 'ifindex'), `${index + 1}\n`);
  }
  return root;
}

async function call(
  program: readonly string[],
  words: readonly string[],
  input: string | Buffer,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const [file = '', ...first] = program;
  const child: ChildProcess = spawn(file, [...first, ...words], {
    env: { ...bareEnvironment, ...env },
  });
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk) => {
    out += String(chunk);
  });
  child.stderr?.on('data', (chunk) => {
    err += String(chunk);
  });
  child.stdin?.on('error', () => {}); // it may end before it has read all
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

/** Files of the folder. */
function recordsIn(root: string): Readonly<Record<string, string>> {
  const folder = join(root, 'run/dnskeeper/records');
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]));
}

const SERVER = 'nameserver 192.0.2.1\n';

interface Row {
  readonly words: readonly string[];
  readonly input?: string | Buffer;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the whole program is needed. */
  readonly whole: boolean;
}

const rows: readonly Row[] = [
  { words: ['-a', 'eth0'], whole: false },
  {
    words: ['-a', 'eth0.dhclient'],
    input: '\n# lease\nsearch a.example\nnameserver 192.0.2.1',
    whole: false,
  },
  { words: ['-a', 'eth0.100.dhcp'], whole: false },
  { words: ['-a', 'eth0:1'], whole: false },
  { words: ['-a', 'tun.wg0', '-m', '0', '-x'], whole: false },
  { words: ['-a', 'lo.wg0', '-m', '0', '-x'], whole: false },
  { words: ['-a', 'lo.named'], whole: false },
  { words: ['-a', 'tun.lo'], whole: false },
  { words: ['-m', '007', '-a', 'wg0'], whole: false },
  { words: ['-x', '-a', 'nosuch.inet'], whole: false },
  { words: ['-p', '-a', 'wg0'], whole: false },
  { words: ['-a', 'a...'], whole: false },
  { words: ['-a', 'eth0'], env: { IF_METRIC: '1002' }, whole: false },
  { words: ['-a', 'eth0', '-m', '5'], env: { IF_METRIC: '1002' }, whole: false },
  { words: ['-a', 'eth0'], input: '', whole: false },
  { words: ['-a', 'eth0'], input: Buffer.from('# Gr\u00f6\u00dfe\r\n', 'latin1'), whole: false },
  { words: ['-x', '-a', 'known'], whole: false },
  { words: ['-d', 'known'], whole: false },
  { words: ['-d', 'known', '-f'], whole: false },
  { words: ['-f', '-d', 'nosuch'], whole: false },
  { words: ['-d', 'nosuch'], whole: true },
  { words: ['-d', 'kn*'], whole: true },
  { words: ['-xa', 'eth0'], whole: true },
  { words: ['-pp', '-a', 'eth0'], whole: true },
  { words: ['-a', '-m', '0', '-x', 'wg0'], whole: true },
  { words: ['-a', 'eth0', '-m', 'x'], whole: true },
  { words: ['-a', 'eth0'], env: { IF_EXCLUSIVE: 'yes' }, whole: true },
  { words: ['-a', 'eth0'], env: { IF_METRIC: 'x' }, whole: true },
  { words: ['-a', 'a/b'], whole: true },
  { words: ['-a', '.a'], whole: true },
  { words: ['-a', 'a*'], whole: true },
  { words: ['-a', 'a\nb'], whole: true },
  { words: ['-a', 'x'.repeat(201)], whole: true },
  { words: ['-a'], whole: true },
  { words: ['-a', 'eth0'], input: 'nameserver 192.0.2.1\0', whole: true },
  { words: ['-a', 'eth0'], input: '#'.repeat(70_000), whole: true },
  { words: ['-a', 'eth0'], input: '#'.repeat(65_536), whole: false },
  { words: ['-l'], whole: true },
  { words: ['-z'], whole: true },
  { words: [], whole: true },
];

describe.each(rows.map((row) => ({ ...row, line: JSON.stringify(row.words).slice(0, 40) })))(
  '$line ($whole)',
  ({ words, input = SERVER, env = {}, whole }) => {
    test('ends as the whole program does', async () => {
      const roots = [newRoot(), newRoot()] as const;
      for (const root of roots)
        writeFileSync(
          join(root, 'run/dnskeeper/records/known'),
          '# dnskeeper: exclusive=4\nnameserver 192.0.2.9\n',
        );
      const called = join(roots[0], 'called');
      const [ours, theirs] = await Promise.all([
        call([COMMAND], ['--root', roots[0], ...words], input, { ...env, CALLED: called }),
        call([process.execPath, PROGRAM], ['--root', roots[1], ...words], input, env),
      ]);
      expect(ours).toEqual(theirs);
      expect(recordsIn(roots[0])).toEqual(recordsIn(roots[1]));
      expect(existsSync(called), 'whether the whole program was needed').toBe(whole);
    });
  },
);

// Regression: a standard input that cannot be read left an empty record, and the one before was lost.
test('standard input that cannot be read is refused as the whole program does, and the record stays', () => {
  const answers = [[COMMAND], [process.execPath, PROGRAM]].map(([file = '', ...first]) => {
    const root = newRoot();
    writeFileSync(join(root, 'run/dnskeeper/records/eth0'), SERVER);
    const folder = openSync(root, 'r');
    const { status, stderr } = spawnSync(file, [...first, '--root', root, '-a', 'eth0'], {
      stdio: [folder, 'pipe', 'pipe'],
      encoding: 'utf8',
      env: bareEnvironment,
      timeout: 60_000,
    });
    closeSync(folder);
    expect(recordsIn(root)).toEqual({ eth0: SERVER });
    return { status, stderr };
  });
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]).toEqual({
    status: 1,
    stderr: 'resolvconf: wanted resolv.conf(5) text on standard input, got a folder\n',
  });
});

test('it needs no more of Perl than is on every Debian (perl-base)', () => {
  const text = readFileSync(join(repository, 'packaging/resolvconf'), 'utf8');
  const modules = [...text.matchAll(/^\s*(?:use|require) ([\w:]+)/gm)].map((match) => match[1]);
  expect(modules).toEqual(['strict', 'Fcntl']);
});

test.each([
  ['is not there', (folder: string) => rmSync(folder, { recursive: true }), 0],
  [
    'leads elsewhere',
    (folder: string) => {
      rmSync(folder, { recursive: true });
      symlinkSync('/tmp', folder);
    },
    1,
  ],
  ['may be written by everybody', (folder: string) => chmodSync(folder, 0o777), 1],
])('a folder that %s is for the whole program to judge', async (_, spoil, code) => {
  const root = newRoot();
  spoil(join(root, 'run/dnskeeper/records'));
  const called = join(root, 'called');
  expect((await call([COMMAND], ['--root', root, '-a', 'eth0'], SERVER, { CALLED: called })).code).toBe(code);
  expect(existsSync(called)).toBe(true);
});

describe('dnskeeperd is told', () => {
  const TAKE = '{"method":"io.dnskeeper.records.Take","parameters":{}}\0';

  /** A daemon that says `reply` and nothing else. */
  async function daemonIn(root: string, reply: string): Promise<readonly string[]> {
    const heard: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        heard.push(String(chunk));
        if (reply !== '') socket.write(reply);
      });
    });
    await new Promise<void>((resolve) => server.listen(join(root, 'run/dnskeeper/io.dnskeeper'), resolve));
    onTestFinished(() => void server.close());
    return heard;
  }

  test.each([
    ['and waited for', '{"parameters":{}}\0', ''],
    [
      'and not waited for longer than three seconds',
      '',
      'resolvconf: not in force yet: dnskeeperd has not said that it is\n',
    ],
    [
      'and an error of its is no failure of the call',
      '{"error":"org.varlink.service.MethodNotFound"}\0',
      'resolvconf: not in force yet: dnskeeperd has not said that it is\n',
    ],
  ])('%s', async (_, reply, err) => {
    const root = newRoot();
    const heard = await daemonIn(root, reply);
    expect(await call([COMMAND], ['--root', root, '-a', 'eth0'], SERVER)).toEqual({ code: 0, out: '', err });
    expect(heard).toEqual([TAKE]);
  });

  test('only of what is new, and not of what NetworkManager says', async () => {
    const root = newRoot();
    const heard = await daemonIn(root, '{"parameters":{}}\0');
    await call([COMMAND], ['--root', root, '-a', 'eth0'], SERVER);
    await call([COMMAND], ['--root', root, '-a', 'eth0'], SERVER);
    await call([COMMAND], ['--root', root, '-a', 'NetworkManager'], SERVER);
    expect(heard).toEqual([TAKE]);
    expect(Object.keys(recordsIn(root))).toEqual(['NetworkManager', 'eth0']);
  });
});
