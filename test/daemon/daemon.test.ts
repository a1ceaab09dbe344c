import { describe, expect, it, onTestFinished } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { readEarlierConf } from '../../src/core/earlier-conf.ts';
import { DnskeeperError } from '../../src/core/errors.ts';
import { renderResolvConf, renderStubConf, withoutTime } from '../../src/core/resolv-conf.ts';
import { formatServer } from '../../src/core/server.ts';
import type { LinkDns, SourceEvent } from '../../src/core/snapshot.ts';
import type { ResolverStatus } from '../../src/core/status.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import type { Daemon, DaemonParts, LoadedConfig } from '../../src/daemon/parts.ts';
import type { Decision } from '../../src/outputs/output.ts';
import type { Source } from '../../src/sources/source.ts';
import { link, vpn } from '../support/links.ts';
import { type ManualClock, manualClock } from '../support/manual-clock.ts';
import { parseResolvConf } from '../support/parse-resolv-conf.ts';
import { recordingLog } from '../support/recording-log.ts';
import { linkHeld, resolverOff } from '../support/sample-status.ts';
import { sampleView } from '../support/sample-view.ts';

const home = link({ servers: ['192.168.1.1'] });
const work = vpn({ servers: ['10.99.0.1'], searches: ['corp.example'] });

const says = (links: readonly LinkDns[], cause = 'a test said so'): SourceEvent => ({
  source: 'networkmanager',
  kind: 'state',
  cause,
  state: { links },
});

describe('the loop', () => {
  it('writes at once what the first event says, with the cause and the reasons in the history', async () => {
    const { daemon, file } = start();
    daemon.tell(says([home], 'Configuration changed'));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
    expect(daemon.history().at(-1)).toMatchObject({
      cause: 'Configuration changed',
      source: 'networkmanager',
    });
    expect(daemon.history().at(-1)?.reasons[0]).toMatchObject({ line: 'nameserver 192.168.1.1' });
  });

  it('folds events that arrive while it applies into one more run', async () => {
    const { daemon, file, applied } = start();
    await daemon.ready;
    const before = applied.length;
    daemon.tell(says([home]));
    for (let i = 2; i < 50; i++) daemon.tell(says([link({ servers: [`192.168.1.${i}`] })]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.49']);
    expect(applied.length - before).toBeLessThanOrEqual(2);
  });

  it('applies nothing when the plan is the same', async () => {
    const { daemon, applied } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    const before = applied.length;
    daemon.tell(says([{ ...home }]));
    await daemon.idle();
    expect(applied.length).toBe(before);
  });

  it('keeps the last good servers over a gap, and writes the empty state when the grace time ends', async () => {
    const { daemon, file, clock } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    daemon.tell(says([]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
    expect(daemon.status().graceUntil).toBe(clock.now() + 2000);
    clock.advance(1999);
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
    clock.advance(1);
    await daemon.idle();
    expect(file().nameservers).toEqual([]);
    expect(daemon.status().findings.map((finding) => finding.id)).toContain('no-servers');
  });

  it('asks the servers of the file of before us only while no network has handed any out', async () => {
    const { daemon, file, clock, loaded } = start();
    loaded.config = { ...DEFAULT_CONFIG, ...readEarlierConf('nameserver 192.0.2.1\n', '/etc/resolv.conf') };
    daemon.tell(says([]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.0.2.1']);
    daemon.tell(says([home]));
    await daemon.idle();
    daemon.tell(says([]));
    clock.advance(3000);
    await daemon.idle();
    clock.advance(3000);
    await daemon.idle();
    expect(file().nameservers).toEqual([]);
  });

  it('tells its listeners when a gap begins and when it ends without a write', async () => {
    const { daemon } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    await Promise.resolve();
    const graces: boolean[] = [];
    daemon.onStatus((status) => graces.push(status.graceUntil !== undefined));
    daemon.tell(says([]));
    await daemon.idle();
    await Promise.resolve();
    daemon.tell(says([home]));
    await daemon.idle();
    await Promise.resolve();
    expect(graces).toEqual([true, false]);
  });

  it('a gap that new servers end leaves no trace in the file', async () => {
    const { daemon, file, clock, texts } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    daemon.tell(says([]));
    await daemon.idle();
    clock.advance(500);
    daemon.tell(says([work]));
    await daemon.idle();
    clock.advance(5000);
    await daemon.idle();
    expect(file().nameservers).toEqual(['10.99.0.1']);
    expect(texts.slice(1).every((text) => text.includes('nameserver'))).toBe(true);
  });

  it('10,000 changes in a burst end in the last one with a few dozen writes at most', async () => {
    const { daemon, file, texts, clock } = start();
    for (let i = 0; i < 10_000; i++) {
      daemon.tell(says([link({ servers: [`10.0.${i >> 8}.${i & 255}`.replace('.0.0', '.0.1')] })]));
      if (i % 10 === 0) {
        clock.advance(1);
        await new Promise(setImmediate);
      }
    }
    clock.advance(1000);
    await daemon.idle();
    expect(file().nameservers).toEqual([`10.0.${9999 >> 8}.${9999 & 255}`]);
    expect(texts.length).toBeLessThanOrEqual(36);
    expect(daemon.history().length).toBeLessThanOrEqual(64);
  });

  it('in a storm names go the new way at once, and only the files wait', async () => {
    const { daemon, file, resolver, applied, clock } = start();
    const change = async (last: number): Promise<void> => {
      daemon.tell(says([link({ servers: [`192.168.1.${last}`] })]));
      await daemon.idle();
    };
    for (let last = 1; last < 40; last++) await change(last);
    const written = applied.length;
    await change(99);
    expect(resolver.asks).toEqual(['192.168.1.99']);
    expect(file().nameservers).not.toEqual(['192.168.1.99']);
    expect(applied.length, 'nothing was written').toBe(written);
    clock.advance(1000);
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.99']);
  });

  it('is settled only when what a storm holds back is in force too', async () => {
    const { daemon, file, clock } = start();
    for (let last = 1; last < 40; last++) {
      daemon.tell(says([link({ servers: [`192.168.1.${last}`] })]));
      await daemon.idle();
    }
    let settled = false;
    const waiting = daemon.settled().then(() => {
      settled = true;
    });
    await daemon.idle();
    expect(settled).toBe(false);
    clock.advance(1000);
    await waiting;
    expect(file().nameservers).toEqual(['192.168.1.39']);
    await daemon.settled(); // and at once where nothing is pending
  });

  it('an output that fails stops the ones after it, shows in the status, and is tried again', async () => {
    const { daemon, applied, clock, trouble } = start();
    await daemon.ready;
    trouble.message = 'No space left.';
    daemon.tell(says([home]));
    await daemon.idle();
    const links = applied.filter((name) => name === 'link').length;
    expect(daemon.status()).toMatchObject({ healthy: false, counters: { failures: 1 } });
    expect(daemon.status().findings[0]?.text).toContain('No space left.');
    trouble.message = '';
    clock.advance(1000);
    await daemon.idle();
    expect(applied.filter((name) => name === 'link').length).toBe(links + 1);
    expect(daemon.status().healthy).toBe(true);
  });

  it('an output that fails is told of until it is in force, also while it is tried again', async () => {
    const { daemon, trouble } = start();
    await daemon.ready;
    trouble.message = 'no space';
    daemon.recheck('a test said so');
    await daemon.idle();
    const seen = new Set<string>();
    let trying = true;
    daemon.recheck('a test said so again');
    void daemon.idle().then(() => {
      trying = false;
    });
    while (trying) {
      seen.add(daemon.status().findings.find(({ text }) => text.includes('no space'))?.severity ?? 'none');
      await Promise.resolve();
    }
    expect([...seen]).toEqual(['error']);
    trouble.message = '';
    daemon.recheck('a test said so at last');
    await daemon.idle();
    expect(daemon.status().findings.filter(({ text }) => text.includes('no space'))).toEqual([]);
  });

  it('ends a gap in time while an output fails with long pauses', async () => {
    const { daemon, clock, resolver, trouble } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    trouble.message = 'no space';
    daemon.recheck('a test said so');
    await daemon.idle();
    for (const pause of [1000, 2000, 4000]) {
      clock.advance(pause);
      await daemon.idle();
    }
    daemon.tell(says([]));
    await daemon.idle();
    expect(resolver.asks, 'the last good ones over the gap').toEqual(['192.168.1.1']);
    clock.advance(2000);
    await daemon.idle();
    expect(resolver.asks).toEqual([]);
  });

  // As a machine does that had no right time when it started.
  it("goes on writing at once when the machine's clock is set back", async () => {
    const { daemon, file, clock } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    setBack(clock);
    daemon.tell(says([work]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['10.99.0.1']);
  });

  it("ends a gap in time when the machine's clock is set back", async () => {
    const { daemon, file, clock } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    daemon.tell(says([]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
    setBack(clock);
    clock.advance(2000);
    await daemon.idle();
    expect(file().nameservers).toEqual([]);
  });

  it('repairs the files when asked to look again, though the plan is the same', async () => {
    const { daemon, applied } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    const before = applied.length;
    daemon.recheck('the machine woke up');
    await daemon.idle();
    expect(applied.length).toBe(before + 2);
  });

  it('deals with what somebody wrote before its own text goes over it', async () => {
    const { daemon, applied, trouble } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    trouble.foreign = true;
    applied.length = 0;
    daemon.recheck('a new plan');
    await daemon.idle();
    expect(applied).toEqual(['what was written', 'files', 'link']);
  });

  it('lives on when what somebody wrote cannot be looked at, and puts its own right', async () => {
    const { daemon, applied, trouble } = start();
    await daemon.ready;
    await daemon.idle();
    const before = applied.length;
    trouble.unseen = true;
    await daemon.checkFile();
    trouble.unseen = false;
    await daemon.idle();
    expect(applied.slice(before)).toEqual(['files', 'link']);
  });

  it('a bad configuration is told and changes nothing; a good one is applied', async () => {
    const { daemon, file, loaded } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    loaded.problems = [
      { file: 'config.toml', line: 3, key: 'link.takover', wanted: 'a known key', got: 'an unknown key' },
    ];
    expect(await daemon.reload()).toMatchObject({
      ok: false,
      text: expect.stringContaining('config.toml:3'),
    });
    expect(daemon.status().healthy).toBe(false);
    loaded.problems = [];
    loaded.config = { ...DEFAULT_CONFIG, search: [{ domain: 'mine.example' as never, routingOnly: false }] };
    expect(await daemon.reload()).toMatchObject({ ok: true });
    await daemon.idle();
    expect(file().search).toEqual(['mine.example']);
  });

  it('a reload applies again even where the plan stays, because settings steer the outputs too', async () => {
    const { daemon, applied } = start();
    await daemon.ready;
    await daemon.idle();
    const before = applied.length;
    await daemon.reload();
    await daemon.idle();
    expect(applied.slice(before)).toEqual(['files', 'link']);
  });

  it('tells listeners each status and each change, until they let go', async () => {
    const { daemon } = start();
    await daemon.ready;
    const seen: string[] = [];
    const letGo = [
      daemon.onChange((change) => seen.push(change.cause)),
      daemon.onStatus(() => seen.push('status')),
    ];
    daemon.tell(says([home], 'one'));
    await daemon.idle();
    await Promise.resolve();
    for (const each of letGo) each();
    daemon.tell(says([work], 'two'));
    await daemon.idle();
    expect(seen).toContain('one');
    expect(seen).toContain('status');
    expect(seen).not.toContain('two');
  });
});

describe('a start over the files of an earlier run', () => {
  it('leaves them alone until every source has spoken', async () => {
    const { daemon, applied, file } = start({ holdFirst: 2000 });
    daemon.tell({ source: 'host', kind: 'state', cause: 'read', state: { links: [] } });
    daemon.tell({
      source: 'networkmanager',
      kind: 'health',
      health: { state: 'running', detail: 'it runs' },
    });
    daemon.recheck('the watch stands');
    await daemon.reload();
    await daemon.idle();
    expect(applied).toEqual([]);
    daemon.tell(says([home]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
  });

  it('does not wait for a source that is not there', async () => {
    const { daemon, applied } = start({ holdFirst: 2000 });
    daemon.tell(says([home]));
    daemon.tell({ source: 'host', kind: 'health', health: { state: 'failed', detail: 'not readable' } });
    await daemon.idle();
    expect(applied).toEqual(['files', 'link']);
  });

  it('does not count as heard before what was heard is decided', async () => {
    const { daemon, applied, clock } = start({ holdFirst: 2000 });
    let heard = false;
    void daemon.spoken.then(() => {
      heard = true;
    });
    daemon.tell({ source: 'host', kind: 'state', cause: 'read', state: { links: [] } });
    daemon.tell(says([]));
    await daemon.idle();
    expect(heard).toBe(false);
    clock.advance(2000);
    await daemon.spoken;
    await daemon.idle();
    expect(applied).toEqual(['files', 'link']);
  });

  it('leaves them alone over the gap of a profile switch, too', async () => {
    const { daemon, applied, clock, file } = start({ holdFirst: 2000 });
    daemon.tell({ source: 'host', kind: 'state', cause: 'read', state: { links: [] } });
    daemon.tell(says([]));
    await daemon.idle();
    expect(applied).toEqual([]);
    daemon.tell(says([home]));
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
    clock.advance(5000);
    await daemon.idle();
    expect(file().nameservers).toEqual(['192.168.1.1']);
  });

  it('does not wait for ever', async () => {
    const { daemon, applied, clock } = start({ holdFirst: 2000 });
    clock.advance(2000);
    await daemon.idle();
    expect(applied).toEqual(['files', 'link']);
  });
});

it('after close nothing is applied and the outputs are closed in reverse', async () => {
  const { daemon, applied } = start();
  await daemon.ready;
  await daemon.idle();
  await daemon.close();
  const before = applied.length;
  daemon.tell(says([home]));
  await daemon.idle();
  expect(applied.slice(before - 2)).toEqual(['files closed', 'resolver closed']);
});

describe('what the resolver is told the files say', () => {
  const BOUND: ResolverStatus = { ...resolverOff, state: 'bound', nameserver: '127.0.0.53' };

  it('comes when they are written, not when they are decided', async () => {
    const { daemon, resolver, loaded, trouble } = start();
    loaded.config = { ...DEFAULT_CONFIG, mode: 'stub' };
    daemon.tell(says([home]));
    await daemon.idle();
    resolver.status = BOUND;
    for (const listener of resolver.listeners) listener(BOUND);
    await daemon.idle();
    expect(resolver.named.at(-1)).toBe('127.0.0.53');
    const before = resolver.named.length;
    trouble.message = 'no space';
    resolver.status = resolverOff;
    for (const listener of resolver.listeners) listener(resolverOff);
    await daemon.idle();
    expect(resolver.named.length, 'they could not be written').toBe(before);
  });

  it('comes at once when nothing has to be written', async () => {
    const { daemon, resolver, applied } = start();
    daemon.tell(says([home]));
    await daemon.idle();
    const [before, writes] = [resolver.named.length, applied.length];
    resolver.status = BOUND;
    for (const listener of resolver.listeners) listener(BOUND);
    expect(resolver.named.slice(before)).toEqual([undefined]);
    expect(applied.length).toBe(writes);
  });

  it('at the end is that they name it no more', async () => {
    const { daemon, resolver, loaded } = start();
    loaded.config = { ...DEFAULT_CONFIG, mode: 'stub' };
    resolver.status = BOUND;
    daemon.tell(says([home]));
    await daemon.idle();
    await daemon.close();
    expect(resolver.named.at(-1)).toBeUndefined();
    expect(daemon.history().at(-1), 'and the history says why').toMatchObject({ cause: 'dnskeeperd ends' });
  });
});

describe('a systemd-resolved that comes or goes', () => {
  it('is given way to', async () => {
    const { daemon, applied } = start();
    expect(await daemon.giveWay()).toMatchObject({ ok: true });
    expect(applied.at(-1)).toBe('resolver gives way');
  });

  it('is stood in for before it goes', async () => {
    const { daemon, applied } = start();
    daemon.tell(says([home]));
    expect(await daemon.standIn()).toMatchObject({ ok: true });
    expect(applied.at(-1)).toBe('link absent');
  });

  it('is not stood in for before it goes where a plain file says less than it did', async () => {
    const { daemon, applied, loaded } = start();
    loaded.config = { ...DEFAULT_CONFIG, dnsOverTls: 'yes' };
    daemon.tell(says([home]));
    expect((await daemon.standIn()).text).toMatch(/^Nothing changes .* resolver\.dns-over-tls is "yes"\.$/);
    expect(applied).not.toContain('link absent');
    expect(applied.at(-1)).toBe('resolver stands ready');
  });
});

/** From now on it tells the time of an hour before; what waits, waits on. */
function setBack(clock: ManualClock): void {
  const { now } = clock;
  clock.now = () => now() - 3_600_000;
}

/** What goes wrong with the files. */
interface Trouble {
  /** Of the error that writing them ends with; '' for none. */
  message: string;
  /** Somebody else has written there. */
  foreign?: boolean;
  /** They cannot be looked at. */
  unseen?: boolean;
}

/** A daemon over outputs that remember, and everything a test wants to touch. */
function start({ holdFirst = 0 } = {}): {
  daemon: Daemon;
  clock: ManualClock;
  applied: string[];
  texts: string[];
  trouble: Trouble;
  resolver: {
    status: ResolverStatus;
    listeners: ((status: ResolverStatus) => void)[];
    named: (string | undefined)[];
    /** The servers it was last told to ask. */
    asks: string[];
  };
  loaded: { -readonly [K in keyof LoadedConfig]: LoadedConfig[K] };
  file: () => ReturnType<typeof parseResolvConf>;
} {
  const clock = manualClock();
  const applied: string[] = [];
  const texts: string[] = [];
  const trouble: Trouble = { message: '' };
  const resolver = {
    status: resolverOff,
    listeners: [] as ((status: ResolverStatus) => void)[],
    named: [] as (string | undefined)[],
    asks: [] as string[],
  };
  const loaded = { config: DEFAULT_CONFIG, files: [], problems: [] } as {
    -readonly [K in keyof LoadedConfig]: LoadedConfig[K];
  };
  const parts: DaemonParts = {
    sources: ['networkmanager', 'host'].map((name) => silentSource(name as Source['name'])),
    files: (written) => ({
      name: 'files',
      status: () => [],
      isIntact: async () => {
        if (trouble.unseen) throw new DnskeeperError('IO', 'wanted to look at the file, got EACCES');
        return !trouble.foreign;
      },
      apply: async (decision: Decision) => {
        await Promise.resolve();
        if (trouble.message !== '') throw new DnskeeperError('IO', trouble.message);
        applied.push('files');
        const text =
          decision.nameserver === undefined
            ? renderResolvConf(decision.plan, decision.time)
            : renderStubConf(decision.plan, decision.time, decision.nameserver);
        const before = texts.at(-1) ?? '';
        if (withoutTime(text) === withoutTime(before)) return;
        texts.push(text);
        written(before, text);
      },
      close: async () => void applied.push('files closed'),
    }),
    link: {
      name: 'link',
      status: () => linkHeld,
      onStatus: () => () => {},
      takeover: async () => ({ ok: true, text: 'taken' }),
      release: async () => ({ ok: true, text: 'released' }),
      writtenThrough: async () => void applied.push('what was written'),
      resolved: async (presence) => void applied.push(`link ${presence}`),
      apply: async () => void applied.push('link'),
      close: async () => void applied.push('link closed'),
    },
    resolver: {
      name: 'resolver',
      status: () => resolver.status,
      onStatus: (listener) => {
        resolver.listeners.push(listener);
        return () => {};
      },
      standDown: () => {
        resolver.status = { ...resolverOff, reason: 'ends' };
      },
      giveWay: async () => void applied.push('resolver gives way'),
      standReady: () => void applied.push('resolver stands ready'),
      filesName: (nameserver) => void resolver.named.push(nameserver),
      apply: async ({ plan }) => {
        resolver.asks = plan.upstream.map(({ value }) => formatServer(value));
      },
      query: () => Promise.reject(new Error('not asked in these tests')),
      flush: () => 0,
      view: sampleView,
      close: async () => void applied.push('resolver closed'),
    },
    configuration: {
      get current() {
        return loaded;
      },
      reload: async () => loaded,
      try: async () => loaded,
      keepTried: async () => undefined,
    },
    others: [],
    profileChoice: { first: undefined, save: () => {} },
    clock,
    log: recordingLog(),
    about: { version: '0', pid: 1, mode: 'system', root: '' },
    findings: () => [],
    residentBytes: () => 0,
  };
  const daemon = startDaemon(parts, holdFirst);
  onTestFinished(() => daemon.close());
  return {
    daemon,
    clock,
    applied,
    texts,
    resolver,
    trouble,
    loaded,
    file: () => parseResolvConf(texts.at(-1) ?? ''),
  };
}

/** A source that leaves the talking to the test. */
const silentSource = (name: Source['name']): Source => ({ name, start: () => {}, close: async () => {} });
