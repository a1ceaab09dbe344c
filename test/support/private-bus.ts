import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A dbus-daemon of the test alone. */
export interface PrivateBus {
  readonly address: string;
  /** Start it (again) on the same socket; resolves when it listens. */
  start(): Promise<void>;
  /** End it at once, as a crash would. */
  kill(): Promise<void>;
  /** End it and remove its folder. */
  close(): Promise<void>;
}

/** What the bus does not let everybody do. */
export interface PrivateBusOptions {
  /** A name that nobody may own. */
  readonly forbidden?: string;
  /** Policy files over a bus that, like the system's, lets nobody own or call anything by itself. */
  readonly policies?: readonly string[];
}

/** Start a dbus-daemon with a configuration of its own in a temporary folder. */
export async function startPrivateBus(options: PrivateBusOptions = {}): Promise<PrivateBus> {
  const folder = mkdtempSync(join(tmpdir(), 'dnskeeper-bus-'));
  const address = `unix:path=${join(folder, 'bus')}`;
  const config = join(folder, 'bus.conf');
  writeFileSync(config, configuration(address, options));
  let daemon: ChildProcess | undefined;
  const bus: PrivateBus = {
    address,
    async start() {
      const started = spawn(
        'dbus-daemon',
        ['--nofork', '--nopidfile', '--print-address', `--config-file=${config}`],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      daemon = started;
      // Whatever becomes of the test, no daemon outlives it.
      const end = (): void => void started.kill('SIGKILL');
      process.once('exit', end);
      started.once('exit', () => process.off('exit', end));
      let said = '';
      started.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-2_000);
      });
      await new Promise<void>((resolve, reject) => {
        started.stdout.once('data', () => resolve());
        started.once('error', () =>
          reject(new Error('this test needs dbus-daemon; install it: apt-get install dbus-daemon')),
        );
        started.once('exit', () => reject(new Error(`dbus-daemon ended at once: ${said}`)));
      });
    },
    async kill() {
      const running = daemon;
      daemon = undefined;
      if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
      const exited = once(running, 'exit');
      running.kill('SIGKILL');
      await exited;
    },
    async close() {
      await bus.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await bus.start();
  return bus;
}

/** Everybody may do everything, as on a session bus; the type keeps it from wanting the system's limits. */
const configuration = (
  address: string,
  { forbidden, policies }: PrivateBusOptions,
): string => `<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>${address}</listen>
  <auth>EXTERNAL</auth>
  <!-- As session.conf has it: the default of 128 would hide bounds of our own. -->
  <limit name="max_replies_per_connection">50000</limit>
  <policy context="default">
${policies === undefined ? openRules(forbidden) : CLOSED_RULES}
  </policy>
${(policies ?? []).map((path) => `  <include>${path}</include>`).join('\n')}
</busconfig>
`;

const openRules = (
  forbidden: string | undefined,
): string => `    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
${forbidden === undefined ? '' : `    <deny own="${forbidden}"/>`}`;

/** What system.conf of dbus-daemon says. */
const CLOSED_RULES = `    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>`;
