import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG, readConfig } from '../../src/core/config.ts';
import { CONFIG_KEYS } from '../../src/core/config-keys.ts';
import { readToml } from '../../src/system/toml.ts';

function read(text: string) {
  const toml = readToml(text);
  if (!('values' in toml)) throw new Error(toml.problem.message);
  return readConfig([{ file: 'config.toml', text, values: toml.values }]);
}

describe('the configuration', () => {
  it('without any file is the table of defaults', () => {
    const text = CONFIG_KEYS.map((key) => `${key.key} = ${key.default}`).join('\n');
    expect(read(text)).toEqual({ config: DEFAULT_CONFIG, problems: [] });
    expect(readConfig([])).toEqual({ config: DEFAULT_CONFIG, problems: [] });
  });

  it('later documents win key by key', () => {
    const document = (file: string, values: Record<string, unknown>) => ({ file, text: '', values });
    const { config } = readConfig([
      document('a', { link: { takeover: 'never' }, log: { level: 'debug' } }),
      document('b', { link: { takeover: 'always' } }),
    ]);
    expect([config.takeover, config.logLevel]).toEqual(['always', 'debug']);
  });

  it.each([
    ['[dns]\nfoo = 1', 2, 'dns.foo', /^a known key \(see dnskeeper\.toml\(5\)\)$/, 'an unknown key'],
    ['[dns]\nserver = []', 2, 'dns.server', /did you mean dns\.servers\?/, 'an unknown key'],
    ['[link]\ntakover = "auto"', 2, 'link.takover', /did you mean link\.takeover\?/, 'an unknown key'],
    ['\n[link]\ntakeover = "sometimes"', 3, 'link.takeover', /"auto" \| "always" \| "never"/, /"sometimes"/],
    [
      '[dns]\nservers = ["1.2.3.4", "nonsense"]',
      2,
      'dns.servers',
      /list of servers/,
      /entry 2: no IP address/,
    ],
    ['[dns]\nservers = "1.2.3.4"', 2, 'dns.servers', /list of servers/, /no list/],
    ['[resolver]\ndnssec = "yes"', 2, 'resolver.dnssec', /"no"/, /does not validate/],
    ['[resolver]\nportal = "open"', 2, 'resolver.portal', /"strict" \| "relax"/, /"open"/],
    [
      '[resolver]\nlisten = ["127.0.0.53:53"]',
      2,
      'resolver.listen',
      /list of addresses/,
      /entry 1: a port after the address; it is written "127\.0\.0\.53"/,
    ],
    [
      '[dns]\nservers = ["[2001:db8::1]:5353"]',
      2,
      'dns.servers',
      /"dns\+udp:\/\/IP:port"/,
      /it is written "dns\+udp:\/\/\[2001:db8::1\]:5353"/,
    ],
    [
      '[dns]\nfallback = ["192.0.2.1:853#dns.example"]',
      2,
      'dns.fallback',
      /list of servers: "IP"/,
      /it is written "dns\+tls:\/\/192\.0\.2\.1:853#dns\.example"/,
    ],
    ['[dns]\nservers = ["192.0.2.1:99999"]', 2, 'dns.servers', /list of servers/, /entry 1: no IP address/],
    ['[[profiles]]\nname = "x"', 1, 'profiles', /did you mean \[\[profile\]\]\?/, 'an unknown key'],
    ['[resolver]\nstub = "both"', 2, 'resolver.stub', /"yes" \| "no" \| "udp" \| "tcp"/, /"both"/],
    [
      '[resolver]\nlisten-also = ["0.0.0.0"]',
      2,
      'resolver.listen-also',
      /list of addresses/,
      /stands for all/,
    ],
    ['[resolver]\ncache = true', 2, 'resolver.cache', /"yes" \| "no"/, /true/],
    ['[resolver]\nstale = "8d"', 2, 'resolver.stale', /a time/, /more than 7 days/],
    ['[resolver]\nstale = "1w"', 2, 'resolver.stale', /a time/, /no time with its unit/],
    ['[resolver]\nhosts = "no"', 2, 'resolver.hosts', /true \| false/, /"no"/],
    [
      '[resolver]\nrefuse-record-types = ["AAAA", "AAAB"]',
      2,
      'resolver.refuse-record-types',
      /record types/,
      /entry 2: no record type/,
    ],
    [
      '[resolver]\nrefuse-record-types = ["OPT"]',
      2,
      'resolver.refuse-record-types',
      /record types/,
      /no question has/,
    ],
    ['[dns]\npriority = 0', 2, 'dns.priority', /not 0/, /0/],
    ['[dns]\npriority = -2147483649', 2, 'dns.priority', /-2147483648 to/, /-2147483649/],
    ['[dns]\npriority = 2147483648', 2, 'dns.priority', /to 2147483647/, /2147483648/],
    ['[resolver]\nthreads = 9', 2, 'resolver.threads', /from 1 to 8/, /9/],
    ['[resolver]\nthreads = 1.5', 2, 'resolver.threads', /from 1 to 8/, /1\.5/],
    ['[policy]\ngrace = "2"', 2, 'policy.grace', /a time/, /no time with its unit/],
    ['[policy]\ngrace = "5000s"', 2, 'policy.grace', /a time/, /more than 60 seconds/],
    ['networkmanager.enabled = "yes"', 1, 'networkmanager.enabled', /true \| false/, /"yes"/],
    ['nonsense = 1', 1, 'nonsense', /a known key/, 'an unknown key'],
    ['[nonsense]\nx = 1', 1, 'nonsense', /a known key/, 'an unknown key'],
    ['[dns]\nsearch = ["a b"]', 2, 'dns.search', /list of domains/, /entry 1: a byte/],
    ['[[profile]]\nservers = ["1.2.3.4"]', 1, 'profile[1].name', /a profile with a name/, /nothing/],
    ['[[profile]]\nname = "a"', 2, 'profile[1].name', /changes something/, /"a"/],
    ['profile = "a"', 1, 'profile', /each \[\[profile\]\]/, /"a"/],
    [
      '[[profile]]\nname = "a"\nnever-use = true\n[profile.when]\nsid = "x"\n',
      5,
      'profile[1].when.sid',
      /when\.ssid/,
      'an unknown key',
    ],
    [
      '[[profile]]\nname = "a"\nnever-use = true\nwhen = { vpn = "yes" }\n',
      4,
      'profile[1].when.vpn',
      /true \| false/,
      /"yes"/,
    ],
  ])(
    '%j is reported with its line, key, what was wanted and what was got',
    (text, line, key, wanted, got) => {
      const { problems, config } = read(text);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatchObject({ file: 'config.toml', line, key });
      expect(problems[0]?.wanted).toMatch(wanted);
      expect(problems[0]?.got).toMatch(got);
      expect(config).toEqual(DEFAULT_CONFIG);
    },
  );

  // Each place is found by a walk through the whole text: a large file of another format held the daemon for minutes.
  it.each([
    ['of no table', '', ''],
    ['of a profile', '[[profile]]\nname = "a"\nservers = []\n', 'profile[1].'],
  ])('of thousands of unknown keys %s tells the first few, and looks for no others', (_of, above, prefix) => {
    const text = `${above}${Array.from({ length: 2000 }, (_, index) => `x${index} = 1`).join('\n')}`;
    const toml = readToml(text);
    let looked = 0;
    const { problems } = readConfig([
      {
        file: 'config.toml',
        get text() {
          looked++;
          return text;
        },
        values: 'values' in toml ? toml.values : {},
      },
    ]);
    expect(problems.map((problem) => problem.key)).toEqual(
      Array.from({ length: 64 }, (_, index) => `${prefix}x${index}`),
    );
    expect(looked).toBeLessThanOrEqual(64);
  });

  it.each([-2147483648, -1, 1, 2147483647])('%d is a priority', (priority) => {
    const { problems, config } = read(`[dns]\npriority = ${priority}`);
    expect(problems).toEqual([]);
    expect(config.priority).toBe(priority);
  });

  it('TOML that is none is reported with its line and column', () => {
    expect(readToml('[link]\ntakeover = auto\n')).toEqual({
      problem: { line: 2, message: 'invalid value (column 12)' },
    });
  });
});
