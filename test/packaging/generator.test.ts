import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';

const generator = join(import.meta.dirname, '../../packaging/dnskeeper-generator');

const UNIT = '/usr/lib/systemd/system/dnskeeper.service';
const REAL = 'usr/lib/systemd/system/systemd-resolved.service';
const ENABLED = 'etc/systemd/system/multi-user.target.wants/dnskeeper.service';

const NAMES = [
  `last/dbus-org.freedesktop.resolve1.service -> ${UNIT}`,
  `last/systemd-resolved.service -> ${UNIT}`,
];
const DROP_IN =
  'normal/systemd-resolved.service.d/dnskeeper.conf -> /usr/lib/dnskeeper/systemd-resolved.conf';

/** What the generator makes on a machine with these files; a value is what a link leads to, '' stands for a file. */
function generated(machine: Readonly<Record<string, string>>): readonly string[] {
  const root = temporaryFolder('out/normal', 'out/early', 'out/last');
  for (const [name, target] of Object.entries(machine)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    if (target === '') writeFileSync(join(root, name), '');
    else symlinkSync(target, join(root, name));
  }
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

describe('the generator', () => {
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
  ])('%s', (_, machine, wanted) => {
    expect(generated(machine)).toEqual(wanted);
  });
});
