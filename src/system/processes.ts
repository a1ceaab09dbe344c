import { opendir, readFile } from 'node:fs/promises';

/** Names (at most 15 bytes, as the kernel keeps them) of programs known to write /etc/resolv.conf, and what people call them. */
const WRITERS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    NetworkManager: 'NetworkManager',
    PanGPS: 'GlobalProtect',
    charon: 'strongSwan',
    'charon-systemd': 'strongSwan',
    'cloud-init': 'cloud-init',
    connmand: 'ConnMan',
    dhclient: 'dhclient',
    dhcpcd: 'dhcpcd',
    iwd: 'iwd',
    'mullvad-daemon': 'Mullvad VPN',
    netbird: 'NetBird',
    nordvpnd: 'NordVPN',
    openconnect: 'openconnect',
    openfortivpn: 'openfortivpn',
    openvpn: 'OpenVPN',
    pppd: 'pppd',
    rdnssd: 'rdnssd',
    resolvconf: 'resolvconf',
    'systemd-resolve': 'systemd-resolved',
    svpn: 'F5 VPN',
    tailscaled: 'Tailscale',
    udhcpc: 'udhcpc',
    vpnagentd: 'Cisco AnyConnect',
    vpnc: 'vpnc',
    'wg-quick': 'wg-quick',
    wicked: 'wicked',
  }),
);

/** Most processes that one look takes in. */
const MOST = 10_000;

/** Which programs known to write /etc/resolv.conf run right now, sorted; `proc` is a mounted proc(5). */
export async function runningWriters(proc: string): Promise<readonly string[]> {
  const found = new Set<string>();
  let seen = 0;
  try {
    for await (const entry of await opendir(proc)) {
      if (!/^[0-9]+$/.test(entry.name)) continue;
      if (++seen > MOST) break;
      const writer = WRITERS.get(await commOf(`${proc}/${entry.name}/comm`));
      if (writer !== undefined) found.add(writer);
    }
  } catch {
    // No proc(5) here: then nobody can be named, which the caller's sentence allows for.
  }
  return [...found].sort();
}

/** Processes come and go while we look. */
async function commOf(path: string): Promise<string> {
  try {
    return (await readFile(path, 'latin1')).trim();
  } catch {
    return '';
  }
}
