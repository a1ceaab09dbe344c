import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';

const callers = join(import.meta.dirname, '../../packaging/callers');

/** What `line` prints and how it ends after dhclient-script(8) has read our hook, where resolvconf(8) leads to `command`. */
function afterHook(command: string, line: string): { readonly out: string; readonly code: number | null } {
  const folder = temporaryFolder();
  const systemctl = join(folder, 'systemctl');
  writeFileSync(systemctl, '#!/bin/sh\necho "asked: $*"\n');
  chmodSync(systemctl, 0o755);
  const script = `readlink() { echo ${command}; }; . '${join(callers, 'dhclient')}'; unset -f readlink; ${line}`;
  const { stdout, status } = spawnSync('sh', ['-euc', `reason=PREINIT; ${script}`], {
    encoding: 'utf8',
    env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    timeout: 60_000,
  });
  return { out: stdout, code: status };
}

// Debian 13's hooks for systemd-resolved took our unit for it, found no resolvectl(1), and restarted the unit.
describe("Debian's hooks that come after ours in dhclient-script(8)", () => {
  const OURS = '/usr/lib/dnskeeper/resolvconf';

  test('find no systemd-resolved', () => {
    expect(afterHook(OURS, 'systemctl is-enabled systemd-resolved || echo none')).toEqual({
      out: 'none\n',
      code: 0,
    });
  });

  test.each(['is-active systemd-resolved', 'is-enabled nscd', '--quiet is-active dnskeeper', 'reload squid'])(
    'may ask systemd everything else: %s',
    (words) => {
      expect(afterHook(OURS, `systemctl ${words}`)).toEqual({ out: `asked: ${words}\n`, code: 0 });
    },
  );

  test('are left alone where resolvconf(8) is not ours', () => {
    expect(afterHook('/usr/bin/resolvectl', 'systemctl is-enabled systemd-resolved')).toEqual({
      out: 'asked: is-enabled systemd-resolved\n',
      code: 0,
    });
  });
});
