import { describe, expect, it } from 'vitest';
import { parseHosts } from '../../src/resolver/hosts.ts';
import { link, vpn } from '../support/links.ts';
import { manualClock } from '../support/manual-clock.ts';
import { resolverOver } from '../support/resolver.ts';
import {
  type AskedQuestion,
  addressAnswer,
  answerTo,
  type ScriptedServer,
  scriptedServer,
} from '../support/scripted-server.ts';
import { until } from '../support/until.ts';
import { wireName } from '../support/wire-name.ts';

const CNAME = 5;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;

const at = (server: ScriptedServer): string => `dns+udp://${server.host}:${server.port}`;
const names = (server: ScriptedServer): string[] => server.asked.map(({ name }) => name);
const uplink = (...servers: readonly ScriptedServer[]) => link({ interface: 'lo', servers: servers.map(at) });

describe('one server', () => {
  it('is asked, and its answer comes back as it said it', async () => {
    const server = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const answer = await resolverOver([uplink(server)]).ask('www.example.com');
    expect(answer).toMatchObject({
      rcode: 'NOERROR',
      answers: ['www.example.com A 192.0.2.7'],
      by: 'upstream',
    });
    expect(answer.wire.readUInt16BE(0)).toBe(4242);
  });

  it('that says NXDOMAIN has answered: nobody else is asked', async () => {
    const first = await scriptedServer((question) => answerTo(question, { rcode: NXDOMAIN }));
    const second = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    expect((await resolverOver([uplink(first, second)]).ask('nowhere.example')).rcode).toBe('NXDOMAIN');
    expect(second.asked).toEqual([]);
  });

  it.each([
    ['SERVFAIL', SERVFAIL],
    ['REFUSED', REFUSED],
  ])('that says %s is passed over for the next', async (_, rcode) => {
    const first = await scriptedServer((question) => answerTo(question, { rcode }));
    const second = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const { answers } = await resolverOver([uplink(first, second)]).ask('www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.7']);
    expect(first.asked.length).toBe(1);
  });

  it('that only names other servers is passed over for one that asks them', async () => {
    // Guards against "there is no such record", which a referral does not say; libc goes on to the next server too.
    const first = await scriptedServer((question) => referral(question));
    const second = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const { answers } = await resolverOver([uplink(first, second)]).ask('www.example.com');
    expect(answers).toEqual(['www.example.com A 192.0.2.7']);
    const alone = await resolverOver([uplink(first)]).ask('www.example.com');
    expect(alone.rcode).toBe('SERVFAIL');
    expect(alone.wire.toString('latin1')).toContain('knows its own zones only');
  });

  it.each<[string, number, boolean]>([
    ['is its own word', 0x8500, false],
    ['it asked for', 0x8180, false],
    ['has a SOA record', 0x8100, true],
  ])('whose empty answer with servers’ names %s has answered', async (_, flags, soa) => {
    const server = await scriptedServer((question) => {
      const answer = referral(question, soa);
      answer.writeUInt16BE(flags, 2);
      return answer;
    });
    expect(await resolverOver([uplink(server)]).ask('www.example.com')).toMatchObject({
      rcode: 'NOERROR',
      answers: [],
    });
  });

  it('that knows nothing about the target of its own alias is asked for that too', async () => {
    // An authoritative server ends at the border of its zones; no client asks on by itself.
    const server = await scriptedServer((question) =>
      question.name === 'www.example.com'
        ? answerTo(question, { answers: [{ type: CNAME, data: wireName('host.example.net') }] })
        : addressAnswer(question, '192.0.2.7'),
    );
    const { answers } = await resolverOver([uplink(server)]).ask('www.example.com');
    expect(answers).toEqual(['www.example.com CNAME host.example.net', 'host.example.net A 192.0.2.7']);
    expect(names(server)).toEqual(['www.example.com', 'host.example.net']);
  });

  it('whose chain of aliases is longer than we read has no record told twice', async () => {
    const alias = (at: number): string => `c${at}.example`;
    const server = await scriptedServer((question) => {
      const from = Number(/\d+/.exec(question.name)?.[0]);
      const chain = Array.from({ length: 20 - from }, (_, i) => ({
        name: alias(from + i),
        type: CNAME,
        data: wireName(alias(from + i + 1)),
      }));
      const end = { name: alias(20), type: 1, data: Buffer.from([192, 0, 2, 7]) };
      return answerTo(question, { answers: [...chain, end] });
    });
    const { answers } = await resolverOver([uplink(server)]).ask(alias(0));
    expect(answers).toEqual([
      ...Array.from({ length: 20 }, (_, i) => `${alias(i)} CNAME ${alias(i + 1)}`),
      `${alias(20)} A 192.0.2.7`,
    ]);
  });

  it('whose alias leads to a name of the hosts file is not asked for that', async () => {
    // Guards against a second truth about a name that the file owns whole.
    const server = await scriptedServer((question) =>
      question.name === 'www.example.com'
        ? answerTo(question, { answers: [{ type: CNAME, data: wireName('nas.home.example') }] })
        : addressAnswer(question, '192.0.2.7'),
    );
    const hosts = parseHosts('192.168.1.9 nas.home.example\n');
    const resolver = resolverOver([uplink(server)], { hosts: () => hosts });
    const { answers } = await resolver.ask('www.example.com');
    expect(answers).toEqual(['www.example.com CNAME nas.home.example', 'nas.home.example A 192.168.1.9']);
    expect(names(server)).toEqual(['www.example.com']);
  });

  it('whose alias leads back to the name itself ends in a failure at once', async () => {
    const server = await scriptedServer((question) =>
      answerTo(question, {
        answers: [
          { type: CNAME, data: wireName('b.example') },
          { name: 'b.example', type: CNAME, data: wireName('a.example') },
        ],
      }),
    );
    expect((await resolverOver([uplink(server)]).ask('a.example')).rcode).toBe('SERVFAIL');
    expect(server.asked.length).toBe(1);
  });

  it('that refuses, with nobody else to ask, has its refusal told', async () => {
    const server = await scriptedServer((question) => answerTo(question, { rcode: REFUSED }));
    expect((await resolverOver([uplink(server)]).ask('www.example.com')).rcode).toBe('REFUSED');
  });
});

describe('a question that is under way', () => {
  // A profile switch takes a network's addresses away some time before it says so.
  it('is asked anew when its network goes, of whoever is there then', async () => {
    const gone = await scriptedServer(() => undefined);
    const here = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    const resolver = resolverOver([uplink(gone)]);
    const answer = resolver.ask('www.example.com');
    await until(() => gone.asked.length > 0, 'the question is under way');
    resolver.plan([uplink(here)]);
    expect((await answer).answers).toEqual(['www.example.com A 192.0.2.7']);
  });

  it('outlives a network that cannot be reached any more, until the next plan', async () => {
    const here = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
    let asked = false;
    // Its own sockets are what a resolver never asks: it knows so at once, as with a link that has lost its addresses.
    const isOwn = (_: string, port: number): boolean => {
      asked ||= port === 9;
      return port === 9;
    };
    const resolver = resolverOver([link({ interface: 'lo', servers: ['dns+udp://127.0.0.1:9'] })], { isOwn });
    const answer = resolver.ask('www.example.com');
    await until(() => asked, 'asking has failed');
    resolver.plan([uplink(here)]);
    expect((await answer).answers).toEqual(['www.example.com A 192.0.2.7']);
  });

  it('ends with a refusal when the last network goes', async () => {
    const gone = await scriptedServer(() => undefined);
    const resolver = resolverOver([uplink(gone)]);
    const answer = resolver.ask('www.example.com');
    await until(() => gone.asked.length > 0, 'the question is under way');
    resolver.plan([]);
    expect((await answer).rcode).toBe('REFUSED');
  });

  it('goes on when another network comes or goes', async () => {
    let answerNow = (): void => {};
    const server = await scriptedServer((question) => {
      answerNow = () => server.send(addressAnswer(question, '192.0.2.7'), question.port);
      return undefined;
    });
    const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.1'));
    const resolver = resolverOver([uplink(server)]);
    const answer = resolver.ask('www.example.com');
    await until(() => server.asked.length > 0, 'the question is under way');
    resolver.plan([uplink(server), vpn({ servers: [at(office)], searches: ['corp.example'] })]);
    answerNow();
    expect((await answer).answers).toEqual(['www.example.com A 192.0.2.7']);
    expect(office.asked).toEqual([]);
  });
});

it('links that are asked together are left alone once one of them has answered', async () => {
  const good = await scriptedServer((question) => addressAnswer(question, '192.0.2.7'));
  const dead = await scriptedServer(() => undefined);
  const clock = manualClock();
  const { ask } = resolverOver([uplink(good), link({ interface: 'eth1', servers: [at(dead)] })], { clock });
  expect((await ask('www.example.com')).answers).toEqual(['www.example.com A 192.0.2.7']);
  for (let second = 0; second < 5; second++) clock.advance(1000);
  await ask('www.example.org');
  await until(() => names(dead).includes('www.example.org'), 'the dead one was asked for another name');
  expect(names(dead).filter((name) => name === 'www.example.com')).toHaveLength(1);
});

it.each([
  ['db.localhost', ['www.example.com CNAME db.localhost', 'db.localhost A 127.0.0.1']],
  ['nowhere.invalid', ['www.example.com CNAME nowhere.invalid']],
])('an alias that ends at %s, which is nobody else’s, is followed here', async (target, wanted) => {
  const server = await scriptedServer((question) =>
    question.name === 'www.example.com'
      ? answerTo(question, { answers: [{ type: CNAME, data: wireName(target) }] })
      : addressAnswer(question, '6.6.6.6'),
  );
  expect((await resolverOver([uplink(server)]).ask('www.example.com')).answers).toEqual(wanted);
  expect(names(server)).toEqual(['www.example.com']);
});

describe('split DNS, by what each server saw', () => {
  it('names of the VPN go to the VPN alone, all others never', async () => {
    const isp = await scriptedServer((question) => addressAnswer(question, '192.0.2.1'));
    const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.1'));
    const resolver = resolverOver([
      uplink(isp),
      vpn({ servers: [at(office)], searches: ['corp.example', '~internal.example'] }),
    ]);
    for (const name of ['www.example.com', 'git.corp.example', 'x.internal.example', 'corp.example.org'])
      await resolver.ask(name);
    expect(names(isp)).toEqual(['www.example.com', 'corp.example.org']);
    expect(names(office)).toEqual(['git.corp.example', 'x.internal.example']);
  });

  it('an alias that leaves the route is asked for where it belongs', async () => {
    const isp = await scriptedServer((question) =>
      question.name === 'portal.example.com'
        ? answerTo(question, { answers: [{ type: CNAME, data: wireName('portal.corp.example') }] })
        : answerTo(question, { rcode: NXDOMAIN }),
    );
    const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.1'));
    const resolver = resolverOver(split(isp, office));
    const { answers, rcode } = await resolver.ask('portal.example.com');
    expect(rcode).toBe('NOERROR');
    expect(answers).toEqual([
      'portal.example.com CNAME portal.corp.example',
      'portal.corp.example A 10.0.0.1',
    ]);
    expect(names(isp)).toEqual(['portal.example.com']);
    expect(names(office)).toEqual(['portal.corp.example']);
  });

  it('what the wrong server says about such an alias is not believed', async () => {
    const isp = await scriptedServer((question) =>
      answerTo(question, {
        answers: [
          { type: CNAME, data: wireName('git.corp.example') },
          { name: 'git.corp.example', type: 1, data: Buffer.from([6, 6, 6, 6]) },
        ],
      }),
    );
    const office = await scriptedServer((question) => addressAnswer(question, '10.0.0.1'));
    const { answers } = await resolverOver(split(isp, office)).ask('www.example.com');
    expect(answers).toEqual(['www.example.com CNAME git.corp.example', 'git.corp.example A 10.0.0.1']);
  });

  it('aliases that lead back and forth end in a failure', async () => {
    const isp = await scriptedServer((question) =>
      answerTo(question, { answers: [{ type: CNAME, data: wireName('a.corp.example') }] }),
    );
    const office = await scriptedServer((question) =>
      answerTo(question, { answers: [{ type: CNAME, data: wireName('a.example.com') }] }),
    );
    expect((await resolverOver(split(isp, office)).ask('a.example.com')).rcode).toBe('SERVFAIL');
    expect(isp.asked.length + office.asked.length).toBeLessThanOrEqual(20);
  });
});

function split(isp: ScriptedServer, office: ScriptedServer) {
  return [link({ servers: [at(isp)] }), vpn({ servers: [at(office)], searches: ['corp.example'] })];
}

/** What a server says that does not ask others: whom to ask. */
function referral(question: AskedQuestion, soa = false): Buffer {
  const servers = { name: 'com', type: 2, data: wireName('a.gtld-servers.net') };
  const start = Buffer.concat([wireName('a.example'), wireName('b.example'), Buffer.alloc(20, 1)]);
  const answer = answerTo(question, {
    authority: [servers, ...(soa ? [{ name: 'com', type: 6, data: start }] : [])],
  });
  answer.writeUInt16BE(0x8100, 2);
  return answer;
}
