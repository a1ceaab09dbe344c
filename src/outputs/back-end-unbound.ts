import { join } from 'node:path';
import { BACK_END, NOWHERE, unboundCommands, type Zone } from '../core/back-end.ts';
import { DnskeeperError } from '../core/errors.ts';
import { formatHost } from '../core/server.ts';
import type { Child } from '../system/child.ts';
import type { Files } from '../system/files.ts';
import type { Log } from '../system/log.ts';
import { unboundControl } from '../system/unbound-control.ts';
import type { BackEndProgram, RunningBackEnd } from './back-end.ts';

/** What it works with. */
export interface UnboundNeeds {
  readonly startChild: (
    program: string,
    args: readonly string[],
    said: (line: string) => void,
  ) => Promise<Child>;
  readonly files: Files;
  /** Where its configuration and its control socket stand; nobody else may enter. */
  readonly folder: string;
  /** Files with further settings of the administrator's. */
  readonly settings: () => Promise<readonly string[]>;
  readonly log: Log;
}

/** unbound(8), fed by its control socket. */
export function unbound({ startChild, files, folder, settings, log }: UnboundNeeds): BackEndProgram {
  const socket = join(folder, 'control');
  return {
    async start(signal) {
      const config = join(folder, 'unbound.conf');
      await files.makeFolder(folder, 0o700);
      await files.replace(config, Buffer.from(configuration(socket, await settings())), { mode: 0o600 });
      const { promise: ready, resolve, reject } = Promise.withResolvers<string>();
      signal.addEventListener(
        'abort',
        () => reject(new DnskeeperError('DEADLINE', 'unbound did not begin its service in time')),
        { once: true },
      );
      ready.catch(() => {}); // nobody waits for it when it cannot even be started
      const child = await startChild('unbound', ['-d', '-p', '-c', config], (line) => {
        log.debug({ backEnd: 'unbound' }, line);
        const version = /start of service \(unbound ([^)]+)\)/.exec(line)?.[1];
        if (version !== undefined) resolve(version);
      });
      void child.ended.then((why) => reject(new DnskeeperError('IO', why)));
      try {
        return run(child, await ready);
      } catch (error) {
        await child.end();
        throw error;
      }
    },
  };

  function run(child: Child, version: string): RunningBackEnd {
    let before: readonly Zone[] = [];
    return {
      version,
      ended: child.ended,
      async feed(zones, signal) {
        for (const command of unboundCommands(before, zones)) await unboundControl(socket, command, signal);
        before = zones;
      },
      flush: async (name, signal) => void (await unboundControl(socket, `flush_zone ${name ?? '.'}`, signal)),
      probe: async (signal) => void (await unboundControl(socket, 'status', signal)),
      onForgot: () => {},
      end: () => child.end(),
    };
  }
}

/**
 * Root as we are, with our few powers, and no chroot. Names of private address ranges are asked for like all others: our
 * own resolver has sorted out before which of them anybody may be asked for. What it has no zone for goes nowhere.
 */
const configuration = (
  socket: string,
  settings: readonly string[],
): string => `# Written by dnskeeper for the unbound that it starts.
server:
  interface: ${formatHost(BACK_END)}
  port: ${BACK_END.port}
  username: ""
  chroot: ""
  directory: "/"
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  do-not-query-localhost: no
  do-not-query-address: ${NOWHERE}
  unblock-lan-zones: yes
  insecure-lan-zones: yes
  module-config: "iterator"
  edns-buffer-size: 1232
  tls-system-cert: yes
forward-zone:
  name: "."
  forward-addr: ${NOWHERE}
remote-control:
  control-enable: yes
  control-interface: ${socket}
  control-use-cert: no
${settings.map((file) => `include-toplevel: "${file}"\n`).join('')}`;
