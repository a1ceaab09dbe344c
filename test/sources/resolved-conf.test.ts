import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatServer } from '../../src/core/server.ts';
import { ConfigFiles, loadConfig } from '../../src/sources/config-file.ts';
import { loadResolvedConf } from '../../src/sources/resolved-conf.ts';
import { openFiles } from '../../src/system/files.ts';
import { systemPaths } from '../../src/system/paths.ts';
import { temporaryFolder } from '../support/folder.ts';
import { ODD_FILES } from '../support/odd-files.ts';

const files = openFiles(undefined);

/** A machine's folders with these files in them; a text that begins with -> is a link. */
function machine(content: Readonly<Record<string, string>>) {
  const root = temporaryFolder('root');
  for (const [name, text] of Object.entries(content)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    if (text.startsWith('->')) symlinkSync(text.slice(2), path);
    else writeFileSync(path, text);
  }
  const paths = systemPaths(root);
  return { root, paths, load: () => loadResolvedConf(paths.systemdFolders, files) };
}

const dns = (address: string): string => `[Resolve]\nDNS=${address}\n`;

describe("systemd-resolved's files", () => {
  it.each<[string, Record<string, string>, string[]]>([
    ['the main file of /etc', { 'etc/systemd/resolved.conf': dns('192.0.2.1') }, ['192.0.2.1']],
    [
      'the strongest main file alone',
      {
        'usr/lib/systemd/resolved.conf': dns('192.0.2.1'),
        'usr/local/lib/systemd/resolved.conf': dns('192.0.2.2'),
        'run/systemd/resolved.conf': dns('192.0.2.3'),
      },
      ['192.0.2.3'],
    ],
    [
      'drop-ins of all folders in the order of their names, after the main file',
      {
        'usr/lib/systemd/resolved.conf.d/30-c.conf': dns('192.0.2.3'),
        'etc/systemd/resolved.conf.d/20-b.conf': dns('192.0.2.2'),
        'usr/local/lib/systemd/resolved.conf.d/40-d.conf': dns('192.0.2.4'),
        'run/systemd/resolved.conf.d/10-a.conf': dns('192.0.2.1'),
        'etc/systemd/resolved.conf': dns('192.0.2.9'),
      },
      ['192.0.2.9', '192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'],
    ],
    [
      'a drop-in instead of those of the same name in weaker folders',
      {
        'usr/lib/systemd/resolved.conf.d/a.conf': dns('192.0.2.1'),
        'etc/systemd/resolved.conf.d/a.conf': dns('192.0.2.2'),
      },
      ['192.0.2.2'],
    ],
    [
      'nothing of a drop-in that is masked',
      {
        'usr/lib/systemd/resolved.conf.d/a.conf': dns('192.0.2.1'),
        'etc/systemd/resolved.conf.d/a.conf': '->/dev/null',
      },
      [],
    ],
    [
      'nothing of files that are no drop-ins',
      {
        'etc/systemd/resolved.conf.d/a.conf.dpkg-new': dns('192.0.2.1'),
        'etc/systemd/resolved.conf.d/.a.conf': dns('192.0.2.2'),
      },
      [],
    ],
  ])('are read: %s', async (_, content, wanted) => {
    const { settings, remarks } = await machine(content).load();
    expect((settings.servers ?? []).map(formatServer)).toEqual(wanted);
    expect(remarks).toEqual([]);
  });

  it.each(ODD_FILES.filter(({ what }) => what !== 'a link to itself'))(
    'that are $what are told, and the others count',
    async ({ make }) => {
      const { load, root } = machine({ 'etc/systemd/resolved.conf.d/b.conf': dns('192.0.2.1') });
      make(join(root, 'etc/systemd/resolved.conf.d/a.conf'));
      const { settings, remarks } = await load();
      expect(settings.servers).toHaveLength(1);
      expect(remarks).toMatchObject([{ severity: 'warning', text: expect.stringContaining('a.conf') }]);
    },
  );

  it('with nothing but comments in them are not listed as files in force', async () => {
    const { load } = machine({
      'etc/systemd/resolved.conf': '# a comment\n;[Resolve]\n',
      'etc/systemd/resolved.conf.d/a.conf': dns('192.0.2.1'),
    });
    expect((await load()).files.map((file) => file.slice(file.indexOf('/etc')))).toEqual([
      '/etc/systemd/resolved.conf.d/a.conf',
    ]);
  });
});

describe('beneath our own configuration', () => {
  const resolved = { 'etc/systemd/resolved.conf': `${dns('192.0.2.1')}DNSOverTLS=yes\nLLMNR=yes\n` };

  it('what systemd-resolved is told holds as long as we are told nothing else, key by key', async () => {
    const { paths } = machine({
      ...resolved,
      'etc/dnskeeper/config.toml': '[dns]\nservers = ["192.0.2.7"]\n',
    });
    const { config, problems, remarks, files: read } = await loadConfig(paths, files);
    expect(problems).toEqual([]);
    expect(config.servers.map(formatServer)).toEqual(['192.0.2.7']);
    expect(config.dnsOverTls).toBe('yes');
    expect(config.from['192.0.2.7']).toBe(paths.configFile);
    expect(read.map((file) => file.slice(file.indexOf('/etc')))).toEqual([
      '/etc/systemd/resolved.conf',
      '/etc/dnskeeper/config.toml',
    ]);
    expect(remarks).toMatchObject([{ severity: 'note', text: expect.stringContaining('LLMNR=yes') }]);
  });

  it('it holds too where our own files are bad from the start', async () => {
    const { paths } = machine({ ...resolved, 'etc/dnskeeper/config.toml': 'nonsense = 1\n' });
    const { current } = await ConfigFiles.open(paths, files);
    expect(current.problems).toHaveLength(1);
    expect(current.config.servers.map(formatServer)).toEqual(['192.0.2.1']);
  });

  it('a bad line of it costs that line alone, also at a reload', async () => {
    const { paths, root } = machine(resolved);
    const configuration = await ConfigFiles.open(paths, files);
    writeFileSync(join(root, 'etc/systemd/resolved.conf'), `${dns('192.0.2.2')}Nonsense\n`);
    const { config, problems, remarks } = await configuration.reload();
    expect(problems).toEqual([]);
    expect(config.servers.map(formatServer)).toEqual(['192.0.2.2']);
    expect(remarks).toMatchObject([{ severity: 'warning', text: expect.stringMatching(/:3: wanted/) }]);
  });
});
