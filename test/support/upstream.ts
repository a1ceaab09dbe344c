import { expect, onTestFinished } from 'vitest';
import { parseServer, type Server } from '../../src/core/server.ts';
import type { Knob } from '../../src/core/snapshot.ts';
import { type ResponseFacts, readResponse } from '../../src/resolver/message-read.ts';
import type { Query } from '../../src/resolver/query.ts';
import type { RouteLink } from '../../src/resolver/routing.ts';
import { Upstream, type UpstreamNeeds } from '../../src/resolver/upstream.ts';
import { type ClientAnswer, queryOf, readAnswer } from './ask.ts';
import { must } from './sample-status.ts';
import type { ScriptedServer } from './scripted-server.ts';
import { slowClock } from './slow-clock.ts';

/** The asking side of the resolver under test, with short ways to use it over one link. */
export interface UpstreamUnderTest {
  readonly upstream: Upstream;
  /** Ask for an A record; rejects as Upstream does. */
  ask(server: Server, name: string, signal?: AbortSignal): Promise<ClientAnswer>;
  /** Ask anything. */
  put(server: Server, query: Query): Promise<ResponseFacts>;
}

/** An Upstream whose link is as given. */
export function upstreamOf(
  needs: Partial<UpstreamNeeds> = {},
  dnsOverTls: Knob = 'default',
  about: Partial<RouteLink> = {},
): UpstreamUnderTest {
  const upstream = new Upstream({ clock: slowClock, isOwn: () => false, dnsOverTls: () => 'no', ...needs });
  onTestFinished(() => upstream.close());
  const put = (server: Server, query: Query, signal: AbortSignal = AbortSignal.timeout(8000)) => {
    const link = { key: 'eth0', interface: 'eth0', servers: [server], dnsOverTls, network: '', ...about };
    return upstream.ask(server, link, query, signal);
  };
  return {
    upstream,
    put,
    async ask(server, name, signal) {
      const { wire } = await put(server, queryOf(name), signal);
      expect(readResponse(wire).ok).toBe(true);
      const read = readAnswer(wire);
      return { ...read, answers: read.answers.map(withSmallName) };
    },
  };
}

/** The spelling is given back to the client further up. */
const withSmallName = (answer: string): string => answer.replace(/^\S+/, (name) => name.toLowerCase());

/** A scripted server as one that is asked in the open. */
export const plain = ({ host, port }: ScriptedServer): Server =>
  must(parseServer(`dns+udp://${host}:${port}`));

/** The same as one that is asked over TLS alone; `name` is `#name` or empty. */
export const encrypted = ({ host, tlsPort }: ScriptedServer, name = ''): Server =>
  must(parseServer(`dns+tls://${host}:${tlsPort}${name}`));

/** A message with one byte changed. */
export function patched(message: Buffer, at: number, change: number): Buffer {
  const copy = Buffer.from(message);
  copy[at] = (copy[at] ?? 0) ^ change;
  return copy;
}
