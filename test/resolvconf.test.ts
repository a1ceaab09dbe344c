import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { bundle } from '../scripts/bundle.ts';
import { temporaryFolder } from './support/folder.ts';
import { until } from './support/until.ts';

/** Bundled as it is shipped: it starts ten times as fast as from its sources. */
const bundles = mkdtempSync(join(tmpdir(), 'dnskeeper-test-'));
const PROGRAM = join(bundles, 'resolvconf.mjs');

beforeAll(async () => {
  await bundle(join(import.meta.dirname, '..'), bundles, { resolvconf: 'src/resolvconf.ts' });
});

afterAll(() => rmSync(bundles, { recursive: true, force: true }));

interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A root folder and calls below it. */
function machine() {
  const root = temporaryFolder('run', 'etc', 'sys/class/net');
  const call = (line: string, input: string | Buffer = '', env: Record<string, string> = {}): Answer => {
    const words = line.split(' ').filter((word) => word !== '');
    const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, '--root', root, ...words], {
      input,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', ...env },
      timeout: 60_000,
    });
    return { code: status, out: stdout, err: stderr };
  };
  const records = join(root, 'run/dnskeeper/records');
  const addLink = (name: string, ifindex: number): void => {
    mkdirSync(join(root, 'sys/class/net', name), { recursive: true });
    writeFileSync(join(root, 'sys/class/net', name, 'ifindex'), `${ifindex}\n`);
    writeFileSync(join(root, 'sys/class/net', name, 'type'), '1\n');
  };
  return { root, call, records, addLink };
}

const WAITS = /^resolvconf: dnskeeperd does not run; this waits for its start\n$/;

test('a record waits where no daemon runs, and the call succeeds', () => {
  const { call, records } = machine();
  const added = call('-a wg0 -m 0 -x', 'nameserver 10.0.0.1');
  expect(added).toMatchObject({ code: 0, out: '' });
  expect(added.err).toMatch(WAITS);
  expect(readFileSync(join(records, 'wg0'), 'utf8')).toMatch(
    /^# dnskeeper: metric=0 exclusive=[0-9]+\nnameserver 10\.0\.0\.1$/,
  );
});

test('the same again is no change, also for the newest exclusive record', () => {
  const { call, records } = machine();
  call('-a wg0 -m 0 -x', 'nameserver 10.0.0.1');
  const before = readFileSync(join(records, 'wg0'), 'utf8');
  expect(call('-x -m 0 -a wg0', 'nameserver 10.0.0.1')).toEqual({ code: 0, out: '', err: '' });
  expect(readFileSync(join(records, 'wg0'), 'utf8')).toBe(before);
  call('-a wg1 -x', 'nameserver 10.0.0.2');
  expect(call('-x').out).toBe('wg1\n');
  call('-a wg0 -m 0 -x', 'nameserver 10.0.0.1');
  expect(call('-x').out, 'said again, it is the newest').toBe('wg0\n');
});

test('the interface of a key is kept with its record', () => {
  const { call, records, addLink } = machine();
  addLink('eth0', 4);
  call('-a eth0.dhclient', '');
  expect(readFileSync(join(records, 'eth0.dhclient'), 'utf8')).toBe('# dnskeeper: interface=eth0/4\n');
});

test('twenty calls at once lose none', async () => {
  const { root, call } = machine();
  const keys = Array.from({ length: 20 }, (_, index) => `eth${String(index).padStart(2, '0')}`);
  const ended = keys.map(async (key) => {
    const child = spawn(process.execPath, [PROGRAM, '--root', root, '-a', key]);
    child.stdin.end(`nameserver 192.0.2.${Number(key.slice(3)) + 1}\n`);
    child.stdout.resume();
    child.stderr.resume();
    return new Promise((resolve) => child.once('close', resolve));
  });
  expect(new Set(await Promise.all(ended))).toEqual(new Set([0]));
  expect(call('-i').out).toBe(`${keys.join(' ')}\n`);
  expect(call('-v').out).toContain('192.0.2.20');
});

test('while the daemon runs, a call returns when its record is in force', async () => {
  const { root, call } = machine();
  call('-a eth0', 'nameserver 192.0.2.1\n');
  const daemon = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), '--root', root], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '', DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${root}/nobody` },
  });
  onTestFinished(() => void daemon.kill('SIGKILL'));
  const file = join(root, 'run/dnskeeper/resolv.conf');
  const servers = (): readonly string[] =>
    [...readFileSync(file, 'utf8').matchAll(/^nameserver (.*)$/gm)].map((match) => match[1] ?? '');
  await until(() => existsSync(join(root, 'run/dnskeeper/io.dnskeeper')), 'the daemon answers', 20_000);
  await until(() => existsSync(file), 'the daemon has written its file', 20_000);
  await until(() => servers().length > 0, 'the record that waited is in force', 20_000);
  expect(servers()).toEqual(['192.0.2.1']);
  expect(call('-a wg0 -x', 'nameserver 10.0.0.1\n')).toEqual({ code: 0, out: '', err: '' });
  expect(servers()).toEqual(['10.0.0.1']);
  expect(call('-d wg0').code).toBe(0);
  expect(servers()).toEqual(['192.0.2.1']);
});

describe('deleting', () => {
  test.each([
    ['-d eth0', 0, 'eth1 wg0\n', ''],
    ['-d eth*', 0, 'wg0\n', ''],
    ['-d nosuch', 1, 'eth0 eth1 wg0\n', 'No resolv.conf for key nosuch\n'],
    ['-d nosuch -f', 0, 'eth0 eth1 wg0\n', ''],
    ['-f -d nosuch', 0, 'eth0 eth1 wg0\n', ''],
    ['-d eth0 nosuch', 0, 'eth1 wg0\n', 'No resolv.conf for key nosuch\n'],
    ['-d ../records/eth0', 1, 'eth0 eth1 wg0\n', 'No resolv.conf for key ../records/eth0\n'],
    ['-I', 0, '', ''],
  ])('%s', (line, code, left, complaint) => {
    const { call } = machine();
    for (const key of ['eth0', 'eth1', 'wg0']) call(`-a ${key}`, 'nameserver 192.0.2.1\n');
    const { code: got, err } = call(line);
    expect(got).toBe(code);
    expect(err.replace(/^resolvconf: dnskeeperd does not run.*\n/m, '')).toBe(complaint);
    expect(call('-i').out).toBe(left);
  });
});

test('patterns are put behind all others and taken back', () => {
  const { call } = machine();
  for (const key of ['eth0.dhcp', 'eth0.ra', 'wlan0']) call(`-a ${key}`, 'nameserver 192.0.2.1\n');
  expect(call('-C eth0.*').code).toBe(0);
  expect(call('-Li').out).toBe('wlan0 eth0.dhcp eth0.ra\n');
  expect(call('-c eth0.*').code).toBe(0);
  expect(call('-Li').out).toBe('eth0.dhcp eth0.ra wlan0\n');
});

test("Debian's words about postponed updates", () => {
  const { call } = machine();
  const codes = [
    '--updates-are-enabled',
    '--disable-updates',
    '--updates-are-enabled',
    '--enable-updates',
    '--updates-are-enabled',
  ];
  expect(codes.map((line) => call(line).code)).toEqual([0, 0, 1, 0, 0]);
});

test('programs that ask who it is hear openresolv', () => {
  const { code, out } = machine().call('--version');
  expect({ code, out }).toMatchObject({ code: 0, out: expect.stringMatching(/^openresolv /) });
});

test('the environment of dhcpcd counts', () => {
  const { call, records } = machine();
  call('-a eth0.dhcp', 'nameserver 192.0.2.1\n', { IF_METRIC: '1002', IF_PRIVATE: 'yes' });
  expect(readFileSync(join(records, 'eth0.dhcp'), 'utf8')).toMatch(/^# dnskeeper: metric=1002 private\n/);
});

describe('nobody reads what it says', () => {
  const unread = async (root: string, words: readonly string[], input: string): Promise<[number, string]> => {
    const child = spawn(process.execPath, [PROGRAM, '--root', root, ...words]);
    onTestFinished(() => void child.kill('SIGKILL'));
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += String(chunk);
    });
    // Long before it has started, the reader is gone.
    if (words.includes('-a')) child.stderr.destroy();
    else child.stdout.destroy();
    child.stdin.end(input);
    const code = await new Promise<number>((resolve) =>
      child.once('exit', (status) => resolve(status ?? -1)),
    );
    return [code, err];
  };

  test('a record is stored and the call succeeds, for wg-quick would take its tunnel down', async () => {
    const { root, call } = machine();
    expect(await unread(root, ['-a', 'wg0', '-x'], 'nameserver 10.0.0.1\n')).toEqual([0, '']);
    expect(call('-x').out).toBe('wg0\n');
  });

  test.each(['-l', '-i', '-v', '--help'])('%s ends without a trace of where it was', async (word) => {
    const { root, call } = machine();
    call('-a eth0', 'nameserver 192.0.2.1\n');
    expect(await unread(root, [word], '')).toEqual([0, '']);
  });

  test('a full disk is told', () => {
    const { root } = machine();
    const line = '"$0" "$@" > /dev/full';
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', line, process.execPath, PROGRAM, '--root', root, '--help'],
      { encoding: 'utf8', timeout: 60_000 },
    );
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^resolvconf: wanted to print, got ENOSPC[^\n]*\n$/),
    });
  });
});

describe('listing', () => {
  const PRIVATE = 'search corp.example\nnameserver 10.8.0.1\n';

  test.each<[string, number, string, string]>([
    ['-i', 0, 'eth0 tun0 wg0\n', ''],
    ['-i eth*', 0, 'eth0\n', ''],
    ['-i nosuch', 2, '', 'No resolv.conf for key nosuch\n'],
    ['-f -i nosuch', 0, '', ''],
    ['-Li', 0, 'wg0\n', ''],
    ['-l eth0', 0, '# resolv.conf from eth0\nsearch Home.Example.\nnameserver 192.0.2.1\n\n', ''],
    ['-l nosuch', 2, '', 'No resolv.conf for key nosuch\n'],
    ['--list eth0', 0, '# resolv.conf from eth0\nsearch Home.Example.\nnameserver 192.0.2.1\n\n', ''],
    ['-L wg0', 0, '# resolv.conf from wg0\nnameserver 10.0.0.1\n\n', ''],
    ['-L nosuch', 2, '', 'No resolv.conf for key nosuch\n'],
    ['-p', 0, 'tun0\n', ''],
    ['-pp', 0, 'tun0\n', ''],
    ['-x', 0, 'wg0\n', ''],
    [
      '-v eth0 tun0',
      0,
      "DOMAIN=''\nSEARCH='home.example'\nNAMESERVERS='192.0.2.1'\nLOCALNAMESERVERS=''\nDOMAINS='home.example:192.0.2.1 corp.example:10.8.0.1'\n",
      '',
    ],
    [
      '-V',
      0,
      "DOMAIN=''\nSEARCH='z.example'\nNAMESERVERS='192.0.2.100 127.0.0.1'\nLOCALNAMESERVERS=''\nDOMAINS='z.example:192.0.2.100,127.0.0.1'\n",
      '',
    ],
  ])('%s', (line, code, out, err) => {
    const { root, call } = machine();
    call('-a eth0', 'search Home.Example.\nnameserver 192.0.2.1\n');
    call('-a tun0 -pp', PRIVATE);
    call('-a wg0 -x', 'nameserver 10.0.0.1\n');
    if (line === '-V')
      writeFileSync(
        join(root, 'etc/resolvconf.conf'),
        'name_servers="192.0.2.100 127.0.0.1"\nsearch_domains=z.example\n',
      );
    expect(call(line)).toEqual({ code, out, err });
  });

  test("follows Debian's interface-order", () => {
    const { root, call } = machine();
    for (const key of ['eth0', 'tun0', 'wlan0']) call(`-a ${key}`, 'nameserver 192.0.2.1\n');
    mkdirSync(join(root, 'etc/resolvconf'));
    writeFileSync(join(root, 'etc/resolvconf/interface-order'), '@(wl|wlan)*([^.])\neth*\n*\n');
    expect(call('-Li').out).toBe('wlan0 eth0 tun0\n');
  });
});

describe('the rest', () => {
  test.each(['', '-h', '--help'])('"%s" shows how to call it', (line) => {
    expect(machine().call(line)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Usage: resolvconf/),
      err: '',
    });
  });

  test('-u has the daemon look again, and is no failure without one', () => {
    expect(machine().call('-u')).toMatchObject({ code: 0, out: '', err: expect.stringMatching(WAITS) });
  });

  test('-D makes the folders of files', () => {
    const { root, call } = machine();
    expect(call(`-D ${root}/a/b/c.conf ${root}/d/e.conf`)).toEqual({ code: 0, out: '', err: '' });
    expect(existsSync(join(root, 'a/b')) && existsSync(join(root, 'd'))).toBe(true);
  });

  test('-D says what is in the way of a folder', () => {
    const { root, call } = machine();
    writeFileSync(join(root, 'a'), 'a file');
    expect(call(`-D ${root}/a/b/c.conf`)).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^resolvconf: wanted a folder for \S+\/a\/b\/c\.conf, got [A-Z]+\n$/),
    });
  });

  test('-r refuses what is no service', () => {
    const { code, err } = machine().call('-r ../x;reboot');
    expect(code).toBe(1);
    expect(err).toMatch(/^resolvconf: wanted (a service|systemd)/);
  });

  test('-a reads no terminal', () => {
    const { root, call } = machine();
    const { stdout, status } = spawnSync(
      'script',
      ['-qec', `'${process.execPath}' '${PROGRAM}' --root '${root}' -a eth0`, '/dev/null'],
      { encoding: 'utf8', timeout: 60_000 },
    );
    expect({ status, stdout: stdout.trim() }).toEqual({
      status: 1,
      stdout: 'resolvconf: wanted resolv.conf(5) text on standard input, got a terminal',
    });
    expect(call('-i').out).toBe('');
  });
});

// wg-quick(8) takes its tunnel down when the call fails.
describe('whatever the policy is, -a succeeds', () => {
  test.each([
    ['records are not used at all', 'resolvconf=NO\n', '-a wg0'],
    ['the key is denied', 'deny_keys="wg*"\n', '-a wg0 -m 0 -x'],
    ['only other keys are allowed', 'allow_keys=eth0\n', '-a wg0'],
    ['another is exclusive', 'exclusive_keys=eth0\n', '-a wg0'],
    ['the file is one for the shell', '. /etc/other\nname_servers=$(cat x)\n', '-a wg0 -m 0 -x'],
    ['the file is binary', '\0\u0001\u0002', '-a wg0'],
  ])('%s', (_, rules, line) => {
    const { root, call, records } = machine();
    call('-a eth0', 'nameserver 192.0.2.1\n');
    writeFileSync(join(root, 'etc/resolvconf.conf'), rules);
    expect(call(line, 'nameserver 10.0.0.1\n')).toMatchObject({ code: 0, out: '' });
    expect(existsSync(join(records, 'wg0'))).toBe(true);
  });

  test('the file is a folder, which is told where it matters', () => {
    const { root, call } = machine();
    mkdirSync(join(root, 'etc/resolvconf.conf'));
    expect(call('-a wg0', 'nameserver 10.0.0.1\n').code).toBe(0);
    expect(call('-v')).toMatchObject({ code: 1, err: expect.stringContaining('wanted a file, got') });
  });
});

describe('bad input is refused in words, and the record stays as it was', () => {
  test.each<[string, string | Buffer, string]>([
    [
      'a program',
      Buffer.from('\x7fELF\x00\x01'),
      'got byte 0x7f at offset 0, which no text has; the record eth0 is as it was',
    ],
    ['a NUL in the middle', 'nameserver 192.0.2.9\n\0', 'got byte 0x00 at offset 21'],
    [
      'more than any resolv.conf',
      '#'.repeat(1 << 20),
      'got more than 65536 bytes; the record eth0 is as it was',
    ],
  ])('%s', (_, input, complaint) => {
    const { call } = machine();
    call('-a eth0', 'nameserver 192.0.2.1\n');
    const { code, err } = call('-a eth0', input);
    expect(code).toBe(1);
    expect(err).toContain(`resolvconf: wanted resolv.conf(5) text on standard input, ${complaint}`);
    expect(call('-l eth0').out).toBe('# resolv.conf from eth0\nnameserver 192.0.2.1\n\n');
  });

  test('an endless one', async () => {
    const { root, call } = machine();
    const child = spawn('sh', [
      '-c',
      'yes nameserver | "$0" "$@"',
      process.execPath,
      PROGRAM,
      '--root',
      root,
      '-a',
      'eth0',
    ]);
    let err = '';
    child.stderr.on('data', (chunk) => {
      err += String(chunk);
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(1);
    expect(err).toContain('got more than 65536 bytes');
    expect(call('-i').out).toBe('');
  });

  test('one in another script comes out byte for byte', () => {
    const { call } = machine();
    call('-a büro', '# für das Büro à la carte\nnameserver 192.0.2.1\nsearch BÜRO.example\n');
    expect(call('-l').out).toBe(
      '# resolv.conf from büro\n# für das Büro à la carte\nnameserver 192.0.2.1\nsearch BÜRO.example\n\n',
    );
    expect(call('-L').out).toBe('# resolv.conf from büro\nnameserver 192.0.2.1\nsearch bÜro.example\n\n');
    expect(call('-i').out).toBe('büro\n');
  });

  test('a half-written one is kept whole as far as it came', () => {
    const { call } = machine();
    call('-a eth0', 'nameserver 192.0.2.1\nnameserver 192.0.');
    expect(call('-v').out).toContain("NAMESERVERS='192.0.2.1'");
  });

  test.each(['../../etc/cron.d/x', 'a/b', '.x', '-- -y', '~x', 'a*'])(
    'the key %s, and nothing is written anywhere',
    (key) => {
      const { root, call } = machine();
      const { code, err } = call(`-a ${key}`, 'nameserver 192.0.2.1\n');
      expect(code).toBe(1);
      expect(err).toMatch(/^resolvconf: /);
      expect(readdirSync(join(root, 'run'))).toEqual([]);
      expect(readdirSync(join(root, 'etc'))).toEqual([]);
    },
  );

  test('a key with a newline', () => {
    const { root } = machine();
    const { status, stderr } = spawnSync(
      process.execPath,
      [PROGRAM, '--root', root, '-a', 'eth0\nnameserver'],
      {
        input: '',
        encoding: 'utf8',
      },
    );
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        'resolvconf: wanted a key such as eth0.dhclient, got a control character, which is not allowed in a key\n',
    });
  });

  test('a folder that leads elsewhere', () => {
    const { root, call, records } = machine();
    mkdirSync(join(root, 'run/dnskeeper'));
    mkdirSync(join(root, 'elsewhere'));
    symlinkSync(join(root, 'elsewhere'), records);
    const { code, err } = call('-a eth0', 'nameserver 192.0.2.1\n');
    expect({ code, err }).toMatchObject({
      code: 1,
      err: expect.stringContaining('got something else; remove it'),
    });
    expect(readdirSync(join(root, 'elsewhere'))).toEqual([]);
  });

  test('a pattern with a slash', () => {
    const { root, call } = machine();
    expect(call('-C ../x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('wanted a pattern of keys'),
    });
    expect(existsSync(join(root, 'run/dnskeeper'))).toBe(false);
  });

  test('options that nobody has', () => {
    expect(machine().call('-z')).toMatchObject({
      code: 1,
      err: expect.stringContaining('illegal option -z'),
    });
  });
});
