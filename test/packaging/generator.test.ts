import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';

const generator = join(import.meta.dirname, '../../packaging/dnskeeper-generator');

const UNIT = '/usr/lib/systemd/system/dnskeeper.service';
const REAL = 'usr/lib/systemd/system/systemd-resolved.service';
const ENABLED = 'etc/systemd/system/multi-user.target.wants/dnskeeper.service';

const SOCKET = 'run/dnskeeper/io.dnskeeper';
const STARTED_WITH = 'run/dnskeeper/names';

const NAMES = [
  `last/dbus-org.freedesktop.resolve1.service -> ${UNIT}`,
  `last/systemd-resolved.service -> ${UNIT}`,
];
const DROP_IN =
  'normal/systemd-resolved.service.d/dnskeeper.conf -> /usr/lib/dnskeeper/systemd-resolved.conf';

/** What the generator makes on a machine with these files; a value is what a link leads to, '' stands for a file. */
function generated(
  machine: Readonly<Record<string, string>>,
  { startedBefore = false } = {},
): readonly string[] {
  const root = temporaryFolder('out/normal', 'out/early', 'out/last');
  for (const [name, target] of Object.entries(machine)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    if (name === STARTED_WITH) writeFileSync(join(root, name), target);
    else if (name === SOCKET) makeSocket(join(root, name));
    else if (target === '') writeFileSync(join(root, name), '');
    else symlinkSync(target, join(root, name));
  }
  if (startedBefore) utimesSync(join(root, STARTED_WITH), 1, 1);
  const folders = ['normal', 'early', 'last'].map((name) => join(root, 'out', name));
  const env = { PATH: process.env['PATH'] ?? '', DNSKEEPER_GENERATOR_ROOT: root };
  const { status, stderr } = spawnSync('sh', [generator, ...folders], { encoding: 'utf8', env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return readdirSync(join(root, 'out'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path.slice(join(root, 'out').length + 1)} -> ${readlinkSync(path)}`;
    })
    .sort();
}

/** A socket file without anybody behind it. */
function makeSocket(path: string): void {
  const script = 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])';
  expect(spawnSync('python3', ['-c', script, path]).status).toBe(0);
}

describe('the generator', () => {
  test('gives no names to a daemon that runs and was enabled since, which has lost them', () => {
    const machine = { [SOCKET]: '', [STARTED_WITH]: 'systemd-resolved.service\n', [ENABLED]: UNIT };
    expect(generated(machine, { startedBefore: true })).toEqual([]);
  });

  test.each<[string, Record<string, string>, string[]]>([
    ['gives our unit both names where there is no systemd-resolved', { [ENABLED]: UNIT }, NAMES],
    ['gives none while our unit is disabled', {}, []],
    [
      'gives them where the socket alone is enabled',
      {
        'etc/systemd/system/sockets.target.wants/dnskeeper.socket':
          '/usr/lib/systemd/system/dnskeeper.socket',
      },
      NAMES,
    ],
    [
      'leaves its name to a systemd-resolved that is installed, which is told of us',
      { [ENABLED]: UNIT, [REAL]: '' },
      [...NAMES.slice(0, 1), DROP_IN],
    ],
    [
      'leaves the name alone where somebody masked it',
      { [ENABLED]: UNIT, 'etc/systemd/system/systemd-resolved.service': '/dev/null' },
      [...NAMES.slice(0, 1), DROP_IN],
    ],
    ['tells a systemd-resolved of us while we are disabled too', { [REAL]: '' }, [DROP_IN]],
    [
      'gives no names while the package is being removed',
      { [ENABLED]: UNIT, 'run/dnskeeper/no-names': '' },
      [],
    ],
    [
      'leaves a daemon that runs the names that it was started with',
      {
        [ENABLED]: UNIT,
        [SOCKET]: '',
        [STARTED_WITH]: 'dbus-org.freedesktop.resolve1.service\nsystemd-resolved.service\n',
      },
      NAMES,
    ],
    [
      'gives a daemon that runs no new name, though systemd-resolved has just gone',
      { [ENABLED]: UNIT, [SOCKET]: '', [STARTED_WITH]: 'dbus-org.freedesktop.resolve1.service\n' },
      NAMES.slice(0, 1),
    ],
    [
      'gives a daemon that runs none where nobody wrote its names down',
      { [ENABLED]: UNIT, [SOCKET]: '' },
      [],
    ],
  ])('%s', (_, machine, wanted) => {
    expect(generated(machine)).toEqual(wanted);
  });
});
