/**
 * `npm run record-demo`: a day with a laptop, recorded from a real NetworkManager in the lab into
 * examples/recordings/demo.jsonl, which `npm run demo` replays; demo.steps.json beside it says what was done when.
 * As root; makes the package first if there is none.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bootMachine, type Machine, sweepRemains } from '../test/lab/machine.ts';
import { addNetwork, type NetworkOptions } from '../test/lab/network.ts';
import { builtPackage, installPackage } from '../test/lab/package.ts';
import { addVpnProfile, addVpnServer } from '../test/lab/vpn.ts';

const recording = join(import.meta.dirname, '../examples/recordings/demo.jsonl');
const steps: { readonly time: number; readonly title: string }[] = [];
const inside = '/var/lib/dnskeeper/demo.jsonl';

const cafe: NetworkOptions = {
  link: 'eth-a',
  ipv4: { prefix: '10.20.0', dns: ['10.20.0.1', '10.20.0.2'] },
  search: ['cafe.example'],
};
const home: NetworkOptions = {
  link: 'eth-b',
  ipv4: { prefix: '10.30.0' },
  ipv6: { prefix: 'fd30::' },
  search: ['home.example'],
};

if (process.getuid?.() !== 0) throw new Error('the lab needs root; run: sudo npm run record-demo');
await builtPackage().catch(() => execFileSync('npm', ['run', '--silent', 'deb'], { stdio: 'inherit' }));
await sweepRemains();

const machine = await bootMachine({ suite: 'trixie', name: 'demo' });
await using closing = new AsyncDisposableStack();
closing.defer(machine.destroy);
await prepare(machine);
await live(machine);
await machine.ok('systemctl stop demo-recorder');
await mkdir(dirname(recording), { recursive: true });
await writeFile(recording, await machine.readFile(inside), { mode: 0o644 });
await writeFile(recording.replace(/\.jsonl$/, '.steps.json'), `${JSON.stringify(steps, null, 2)}\n`);
await writeFile(
  recording.replace('demo.jsonl', 'vpn-up.jsonl'),
  untilStep('The VPN goes down', await machine.readFile(inside)),
);
console.log(`${recording}: ${(await machine.ok(`wc -l < ${inside}`)).trim()} events`);

/** The daemon with --record instead of the service; profiles as a user has them. */
async function prepare(on: Machine): Promise<void> {
  await on.ok('systemctl disable --now systemd-resolved && rm /etc/resolv.conf');
  await on.writeFile('/etc/NetworkManager/conf.d/demo.conf', '[main]\nno-auto-default=*\n');
  await on.ok('systemctl restart NetworkManager');
  await installPackage(on);
  await on.ok('systemctl stop dnskeeper');
  const networks = [await addNetwork(on, cafe), await addNetwork(on, home)];
  for (const network of networks) closing.defer(network.close);
  const add = 'nmcli connection add type ethernet connection.autoconnect no';
  await on.ok(`${add} con-name 'Cafe' ifname eth-a && ${add} con-name 'Home' ifname eth-b`);
  const [, second] = networks;
  if (second === undefined) throw new Error('the second network is needed for the tunnel');
  const vpn = await addVpnServer(second);
  closing.defer(vpn.close);
  await addVpnProfile(on, vpn, { name: 'Office', tunnel: 'full' });
  await on.ok(`systemd-run --quiet --unit=demo-recorder dnskeeperd --record ${inside}`);
  await on.until(
    'dnsctl status --json | grep -q \'"state": *"running"\'',
    'the recorder hears NetworkManager',
    15_000,
  );
}

async function live(on: Machine): Promise<void> {
  begin('The first network: Cafe');
  await on.ok("nmcli connection up 'Cafe'");
  await lists(on, '10.20.0.1', 'the first network');
  begin('The second network beside it: Home');
  await on.ok("nmcli connection up 'Home'");
  await lists(on, '10.30.0.1', 'the second network');
  await lists(on, 'fd30::1', 'its IPv6 side');
  begin('Cafe goes');
  await on.ok("nmcli connection down 'Cafe'");
  await lists(on, '10.20.0.1', 'the first network', false);
  begin('The VPN comes up: Office');
  await on.ok("nmcli connection up 'Office'");
  await lists(on, '10.99.0.1', 'the VPN');
  begin('The VPN goes down');
  await on.ok("nmcli connection down 'Office'");
  await lists(on, '10.99.0.1', 'the VPN', false);
  begin('The machine sleeps');
  await sleep(on, true);
  await on.ok('nmcli device disconnect eth-b');
  // Longer than the grace time, so that the replay shows its end too.
  await on.until('! grep -q ^nameserver /run/dnskeeper/resolv.conf', 'the machine has no servers', 15_000);
  begin('The machine wakes up');
  await sleep(on, false);
  await on.ok("nmcli connection up 'Home'");
  await lists(on, '10.30.0.1', 'the network after the sleep');
  await lists(on, 'fd30::1', 'its IPv6 side after the sleep');
}

/** The recording as it was before a step began, for README's example. */
function untilStep(title: string, lines: string): string {
  const end = steps.find((step) => step.title === title)?.time ?? 0;
  const early = lines
    .split('\n')
    .filter((line) => line !== '' && (JSON.parse(line) as { time: number }).time < end);
  return `${early.join('\n')}\n`;
}

function begin(title: string): void {
  steps.push({ time: Date.now(), title });
}

/** NetworkManager leaves software links such as veth alone over a sleep; they are disconnected beside it. */
async function sleep(on: Machine, asleep: boolean): Promise<void> {
  const manager =
    'org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager';
  await on.ok(`busctl call ${manager} Sleep b ${asleep}`);
}

async function lists(on: Machine, server: string, what: string, present = true): Promise<void> {
  const grep = `grep -q '^nameserver ${server}$' /run/dnskeeper/resolv.conf`;
  await on.until(present ? grep : `! ${grep}`, `${what} is ${present ? 'in' : 'out of'} the file`, 20_000);
}
