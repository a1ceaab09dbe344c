import { expect, it } from 'vitest';
import { formatAddress } from '../../src/core/address.ts';
import { parseListenPlace } from '../../src/core/listen-place.ts';

it.each([
  ['192.0.2.1', '192.0.2.1', 53, undefined],
  ['192.0.2.1:5353', '192.0.2.1', 5353, undefined],
  ['udp:192.0.2.1', '192.0.2.1', 53, 'udp'],
  ['tcp:[2001:db8::1]:853', '2001:db8::1', 853, 'tcp'],
  ['2001:db8::1', '2001:db8::1', 53, undefined],
  ['127.0.0.53:5353', '127.0.0.53', 5353, undefined],
])('%s is an address to listen on', (text, host, port, transport) => {
  const place = parseListenPlace(text);
  if (!place.ok) throw new Error(place.reason);
  expect([formatAddress(place.value.address), place.value.port, place.value.transport]).toEqual([
    host,
    port,
    transport,
  ]);
});

it.each([
  ['', /no IP address/],
  ['localhost', /no IP address/],
  ['sctp:192.0.2.1', /no IP address/],
  ['192.0.2.1:0', /a port outside/],
  ['192.0.2.1:65536', /a port outside/],
  ['0.0.0.0', /stands for all/],
  ['[::]:53', /stands for all/],
  ['224.0.0.251', /multicast/],
  ['fe80::1', /names no link/],
  ['127.0.0.53', /by itself/],
  ['udp:127.0.0.54:53', /by itself/],
])('%j is refused', (text, reason) => {
  expect(parseListenPlace(text)).toEqual({ ok: false, reason: expect.stringMatching(reason) });
});
