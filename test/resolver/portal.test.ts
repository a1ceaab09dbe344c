import { describe, expect, it } from 'vitest';
import { DEFAULT_CONFIG } from '../../src/core/config.ts';
import { makePlan } from '../../src/core/policy.ts';
import type { Connectivity, LinkDns } from '../../src/core/snapshot.ts';
import { resolverOutput } from '../../src/outputs/resolver-output.ts';
import { Reception } from '../../src/resolver/listener.ts';
import { systemClock } from '../../src/system/clock.ts';
import { type Certificate, certificateFor } from '../support/certificate.ts';
import { link, snapshotOf, vpn } from '../support/links.ts';
import { recordingLog } from '../support/recording-log.ts';
import { resolverOver } from '../support/resolver.ts';
import { addressAnswer, type ScriptedServer, scriptedServer } from '../support/scripted-server.ts';
import { frontOf } from '../support/tcp-ports.ts';

let certificate: Certificate | undefined;
function own(): Certificate {
  certificate ??= certificateFor('IP:127.0.0.1');
  return certificate;
}

const transports = (server: ScriptedServer): string[] => server.asked.map(({ transport }) => transport);

/** A network whose portal lets plain DNS through to its own server, and lies; and a tunnel beside it. */
async function hotel(portal: 'strict' | 'relax') {
  const liar = await scriptedServer((question) => addressAnswer(question, '192.168.1.1'));
  const honest = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'), { tls: own() });
  const outside = await frontOf(honest.tlsPort);
  const inside = await frontOf(0);
  const wifi = (connectivity: Connectivity): LinkDns =>
    link({ interface: 'wlan0', servers: [`dns+tls://127.0.0.1:${outside.port}`], connectivity });
  const tunnel = vpn({
    interface: 'tun0',
    servers: [`dns+tls://127.0.0.1:${inside.port}`],
    searches: ['corp.example'],
    connectivity: 'unknown',
  });
  const resolver = resolverOver([wifi('full'), tunnel], {
    settings: () => ({ choice: 'strict', dnsOverTls: 'no', portal, singleLabels: false }),
    authorities: [own().cert],
    plainPort: liar.port,
  });
  const become = (connectivity: Connectivity): void => {
    outside.target = connectivity === 'portal' ? 0 : honest.tlsPort;
    resolver.plan([wifi(connectivity), tunnel]);
  };
  return { resolver, become, liar, honest };
}

describe('strict encryption behind a captive portal', () => {
  it('stays strict unless it was allowed to give way', async () => {
    const { resolver, become, liar } = await hotel('strict');
    become('portal');
    expect((await resolver.ask('www.example.com')).rcode).toBe('SERVFAIL');
    expect(liar.asked).toEqual([]);
    expect(resolver.portal()).toEqual({ links: ['wlan0'], relaxed: false });
  });

  it('gives way for the link alone that has the portal, and only as long', async () => {
    const { resolver, become, liar, honest } = await hotel('relax');
    expect((await resolver.ask('www.example.com')).answers).toEqual(['www.example.com A 192.0.2.1']);
    expect(resolver.portal().links).toEqual([]);

    become('portal');
    expect(resolver.portal()).toEqual({ links: ['wlan0'], relaxed: true });
    expect((await resolver.ask('www.example.com')).answers).toEqual(['www.example.com A 192.168.1.1']);
    expect((await resolver.ask('git.corp.example')).rcode).toBe('SERVFAIL');
    expect(liar.asked.map(({ name }) => name)).toEqual(['www.example.com']);

    become('full');
    expect(resolver.portal().links).toEqual([]);
    expect((await resolver.ask('www.example.com')).answers).toEqual(['www.example.com A 192.0.2.1']);
    expect(new Set(transports(honest))).toEqual(new Set(['tls']));
    expect(liar.asked.length).toBe(1);
  });

  it.each(['unknown', 'none', 'limited'] as const)('does not for connectivity %s', async (connectivity) => {
    const { resolver, become } = await hotel('relax');
    become(connectivity);
    expect(resolver.portal().links).toEqual([]);
  });

  it('what the portal said is forgotten with it', async () => {
    const { resolver, become } = await hotel('relax');
    become('portal');
    const before = resolver.dropped.length;
    become('full');
    expect(resolver.dropped.slice(before)).toEqual(['wlan0']);
  });
});

it('is said in status and in the log, when it begins and when it ends', async () => {
  const { resolver, become } = await hotel('relax');
  const log = recordingLog();
  const reception = new Reception(resolver.answer, log);
  const output = resolverOutput({
    resolver,
    reception,
    places: () => ({ at: [], whyNone: 'A test does not listen.' }),
    sharesAddresses: () => false,
    listen: async () => [],
    clock: systemClock,
    log,
  });
  const plan = makePlan(snapshotOf([]), DEFAULT_CONFIG);
  const apply = async (connectivity: Connectivity): Promise<void> => {
    become(connectivity);
    // The plan is in force already; applying it again would only take the portal away.
    resolver.apply = () => {};
    await output.apply({ plan, time: 0, cause: 'a test' }, new AbortController().signal);
  };
  await apply('portal');
  expect(output.status().portal).toEqual({ links: ['wlan0'], relaxed: true });
  expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', fields: { link: 'wlan0' } }));
  await apply('full');
  expect(output.status().portal).toBeUndefined();
  expect(log.lines.filter(({ fields }) => fields['link'] === 'wlan0').map(({ level }) => level)).toEqual([
    'warn',
    'info',
  ]);
  await output.close();
});
