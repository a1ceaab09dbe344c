import { describe, expect, it } from 'vitest';
import { type Config, DEFAULT_CONFIG } from '../../src/core/config.ts';
import { parseListenPlace } from '../../src/core/listen-place.ts';
import { parseServer } from '../../src/core/server.ts';
import { placesToListen } from '../../src/wiring/places.ts';

const MACHINE = { mode: 'system', root: '' } as const;

const texts = (config: Partial<Config>, paths: Parameters<typeof placesToListen>[0] = MACHINE): string[] =>
  placesToListen(paths, false, { ...DEFAULT_CONFIG, ...config }).at.map(
    ({ host, port, service, transport, extra }) =>
      [transport ?? 'both', `${host}:${port}`, service, ...(extra === true ? ['extra'] : [])].join(' '),
  );

function also(...places: string[]): Pick<Config, 'listenAlso'> {
  return {
    listenAlso: places.map((text) => {
      const place = parseListenPlace(text);
      if (!place.ok) throw new Error(place.reason);
      return place.value;
    }),
  };
}

describe('where the resolver listens', () => {
  it.each<[string, Partial<Config>, string[]]>([
    ['by itself: stub and proxy', {}, ['both 127.0.0.53:53 full', 'both 127.0.0.54:53 proxy']],
    ['over TCP alone', { stub: 'tcp' }, ['tcp 127.0.0.53:53 full', 'tcp 127.0.0.54:53 proxy']],
    ['with the stub off', { stub: 'no' }, []],
    [
      'with the stub off and further addresses',
      { stub: 'no', ...also('192.0.2.1', 'udp:192.0.2.2:5353') },
      ['both 192.0.2.1:53 full extra', 'udp 192.0.2.2:5353 full extra'],
    ],
    [
      'where resolver.listen says, which the stub setting does not touch',
      { stub: 'no', listen: [server('dns+udp://192.0.2.1:5353')] },
      ['both 192.0.2.1:5353 full'],
    ],
    [
      'once where both lists name a place',
      { listen: [server('192.0.2.1')], ...also('tcp:192.0.2.1') },
      ['both 192.0.2.1:53 full'],
    ],
  ])('%s', (_, config, wanted) => {
    expect(texts(config)).toEqual(wanted);
  });

  it('a user has one stub on a port of his own', () => {
    expect(texts({ stub: 'udp' }, { mode: 'user', root: '' })).toEqual(['udp 127.0.0.53:5300 full']);
  });

  it('below a root folder there is none but what is named', () => {
    expect(texts({}, { mode: 'system', root: '/tmp/x' })).toEqual([]);
    expect(texts(also('127.0.0.1:5353'), { mode: 'system', root: '/tmp/x' })).toEqual([
      'both 127.0.0.1:5353 full extra',
    ]);
  });

  it('a replayed recording has nothing', () => {
    const { at, whyNone } = placesToListen(MACHINE, true, { ...DEFAULT_CONFIG, ...also('192.0.2.1') });
    expect(at).toEqual([]);
    expect(whyNone).toMatch(/replayed/);
  });
});

function server(text: string) {
  const parsed = parseServer(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
}
