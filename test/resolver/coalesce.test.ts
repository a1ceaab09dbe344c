import { decode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { coalesce } from '../../src/resolver/coalesce.ts';
import { addresses, fakeServers } from '../support/fake-servers.ts';
import { optionWire, queryOf } from '../support/query-wire.ts';

const nobody = new AbortController().signal;

describe('identical questions under way', () => {
  it('share one query, each with an answer of its own', async () => {
    const servers = fakeServers();
    const ask = coalesce({ routeKeyOf: () => 'home' })(servers.ask);
    const answers = [
      ask(queryOf({ id: 1, name: 'a.example' }), nobody),
      ask(queryOf({ id: 2, name: 'A.example' }), nobody),
      ask(queryOf({ id: 3, name: 'a.example', edns: {} }), nobody),
    ];
    expect(servers.asked).toHaveLength(1);
    await servers.answer(addresses(60, 1));
    const packets = (await Promise.all(answers)).map(({ wire }) => decode(wire));
    expect(packets.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect(packets.map(({ questions }) => questions[0]?.name)).toEqual([
      'a.example',
      'A.example',
      'a.example',
    ]);
    expect(packets.map(({ additionals }) => additionals?.length)).toEqual([0, 0, 1]);
  });

  it('are asked again when the answer is there', async () => {
    const servers = fakeServers();
    servers.answerAlways(addresses(60, 1));
    const ask = coalesce({ routeKeyOf: () => 'home' })(servers.ask);
    await ask(queryOf(), nobody);
    await ask(queryOf(), nobody);
    expect(servers.asked).toHaveLength(2);
  });

  it('share nothing over different routes, or with options of their own', () => {
    const servers = fakeServers();
    let route = 'home';
    const ask = coalesce({ routeKeyOf: () => route })(servers.ask);
    const own = { edns: { options: optionWire(65001, 'x') } };
    const give = (wish: object): void => void ask(queryOf(wish), nobody).catch(() => {});
    give({});
    route = 'vpn';
    give({});
    give(own);
    give(own);
    expect(servers.asked).toHaveLength(4);
  });

  it('leave alone what is still under way for them when the answer is there', async () => {
    // A probe of the first server was cut off by the answer of the second: the first was never found to work again.
    const servers = fakeServers();
    const ask = coalesce({ routeKeyOf: () => 'home' })(servers.ask);
    const asked = ask(queryOf(), nobody);
    await servers.answer(addresses(60, 1));
    await asked;
    expect(servers.aborted).toBe(0);
  });

  it('are given up when the last client has gone, not before', async () => {
    const servers = fakeServers();
    const ask = coalesce({ routeKeyOf: () => 'home' })(servers.ask);
    const [one, two] = [new AbortController(), new AbortController()];
    const answers = [ask(queryOf(), one.signal), ask(queryOf(), two.signal)];
    one.abort(new Error('gone'));
    await expect(answers[0]).rejects.toThrow('gone');
    expect(servers.aborted).toBe(0);
    two.abort(new Error('gone too'));
    await expect(answers[1]).rejects.toThrow('gone too');
    expect(servers.aborted).toBe(1);
    const next = ask(queryOf(), nobody);
    expect(servers.asked).toHaveLength(2);
    await servers.answer(addresses(60, 1)).catch(() => {});
    await servers.answer(addresses(60, 1)).catch(() => {});
    await next;
  });

  it('fail together', async () => {
    let calls = 0;
    const ask = coalesce({ routeKeyOf: () => 'home' })(() => {
      calls++;
      return Promise.reject(new Error('broken'));
    });
    const results = await Promise.allSettled([ask(queryOf(), nobody), ask(queryOf(), nobody)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(calls).toBe(1);
  });

  it('are not gathered beyond the bound', () => {
    const servers = fakeServers();
    const ask = coalesce({ routeKeyOf: () => 'home', most: 2 })(servers.ask);
    for (const name of ['a.example', 'b.example', 'c.example', 'c.example', 'a.example', 'a.example'])
      void ask(queryOf({ name }), nobody).catch(() => {});
    // c finds two flights under way, and the third a finds two clients waiting.
    expect(servers.asked).toHaveLength(5);
  });
});
