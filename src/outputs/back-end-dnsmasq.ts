import { BACK_END, dnsmasqServers } from '../core/back-end.ts';
import { DnskeeperError, messageOf } from '../core/errors.ts';
import { formatHost } from '../core/server.ts';
import type { Bus } from '../system/bus.ts';
import type { Child } from '../system/child.ts';
import type { Log } from '../system/log.ts';
import type { BackEndProgram, RunningBackEnd } from './back-end.ts';

/** Our dnsmasq's name on the bus, which is the name of its interface as well; packaging/dbus allows root to own it. */
const NAME = 'io.dnskeeper.Dnsmasq';
const PATH = '/uk/org/thekelleys/dnsmasq';

/** What it works with. */
export interface DnsmasqNeeds {
  readonly bus: Bus;
  readonly startChild: (
    program: string,
    args: readonly string[],
    said: (line: string) => void,
  ) => Promise<Child>;
  /** Files with further settings of the administrator's. */
  readonly settings: () => Promise<readonly string[]>;
  readonly log: Log;
}

/** dnsmasq(8), fed over the bus with SetServersEx. */
export function dnsmasq({ bus, startChild, settings, log }: DnsmasqNeeds): BackEndProgram {
  const call = (member: string, signal: AbortSignal, ...args: readonly [] | readonly [string, unknown]) =>
    bus.call(
      {
        destination: NAME,
        path: PATH,
        interface: NAME,
        member,
        ...(args.length === 0 ? {} : { signature: args[0], body: [args[1]] }),
      },
      { signal },
    );
  return {
    async start(signal) {
      const ownership = follow(bus);
      const said = (line: string): void => log.debug({ backEnd: 'dnsmasq' }, line);
      let child: Child | undefined;
      try {
        child = await startChild('dnsmasq', argumentsOf(await settings()), said);
        await Promise.race([ownership.here(signal), child.ended.then(refuse)]);
        const [version] = await call('GetVersion', signal);
        return run(child, String(version));
      } catch (error) {
        ownership.close();
        await child?.end();
        throw error;
      }

      function run(started: Child, version: string): RunningBackEnd {
        void started.ended.then(ownership.close);
        return {
          version,
          ended: started.ended,
          async feed(zones, given) {
            await call('SetServersEx', given, 'aas', dnsmasqServers(zones));
            await call('ClearCache', given);
          },
          flush: async () => {}, // it remembers nothing
          probe: async (given) => void (await call('GetVersion', given)),
          onForgot: (listener) => ownership.onAgain(listener),
          end: () => started.end(),
        };
      }
    },
  };
}

/**
 * It keeps nothing: an answer that came while its servers were changed would be kept as that of the new ones, and our own
 * cache knows which network said what. It serves no hosts file, which we have looked at before. Not --strict-order, with which
 * dnsmasq 2.90 and 2.91 never answer what every server of a domain refuses.
 */
const argumentsOf = (settings: readonly string[]): readonly string[] => [
  '--keep-in-foreground',
  '--log-facility=-',
  '--conf-file=/dev/null',
  '--pid-file=',
  // Root as we are, with our few powers and no way to change to another user.
  '--user=',
  '--group=',
  '--no-resolv',
  '--no-hosts',
  '--bind-interfaces',
  `--listen-address=${formatHost(BACK_END)}`,
  `--port=${BACK_END.port}`,
  '--cache-size=0',
  '--proxy-dnssec',
  '--edns-packet-max=1232',
  '--dns-forward-max=1000',
  `--enable-dbus=${NAME}`,
  ...settings.map((file) => `--conf-file=${file}`),
];

/** Whether our dnsmasq has its name: it takes it some time after its start, and again when the bus comes back. */
function follow(bus: Bus): {
  here(signal: AbortSignal): Promise<void>;
  onAgain(listener: () => void): void;
  close(): void;
} {
  const first = Promise.withResolvers<void>();
  let again = (): void => {};
  let seen = 0;
  const close = bus.onOwner(NAME, (owner) => {
    if (owner === undefined) return;
    seen++;
    if (seen === 1) first.resolve();
    else again();
  });
  return {
    here(signal) {
      signal.addEventListener(
        'abort',
        () => first.reject(new DnskeeperError('DEADLINE', 'dnsmasq did not come to the bus in time')),
        { once: true },
      );
      return first.promise;
    },
    onAgain(listener) {
      again = listener;
    },
    close,
  };
}

function refuse(why: string): never {
  throw new DnskeeperError('IO', messageOf(why));
}
