import type { NetworkManagerTree, Properties } from './networkmanager-tree.ts';
import { foursOf, interfaceOf, nonEmptyOf, numberOf, sixesOf } from './networkmanager-values.ts';

/** The interface of an active connection. */
export const ACTIVE = 'org.freedesktop.NetworkManager.Connection.Active';

/** The interface of a device. */
export const DEVICE = 'org.freedesktop.NetworkManager.Device';

/** An IP version. */
export type Family = 4 | 6;

/** Whose DNS it is: a device, or the active connection of a plugin VPN. */
export interface Owner {
  readonly interface: string | undefined;
  readonly external: boolean;
  readonly inForce: boolean;
  readonly pluginVpn: boolean;
  readonly devicePath: string | undefined;
  readonly activePath: string | undefined;
  readonly active: Properties;
  readonly configPaths: { readonly 4: unknown; readonly 6: unknown };
}

/** Everybody who may have DNS; plugin VPNs before the devices of their tunnels. */
export function ownersOf(tree: NetworkManagerTree): readonly Owner[] {
  const devices = tree.paths(DEVICE).map((path): Owner => {
    const device = tree.get(path, DEVICE);
    const state = numberOf(device['State']) ?? 0;
    return {
      interface: interfaceOf(device['IpInterface']) ?? interfaceOf(device['Interface']),
      external: isExternal(tree, device['ActiveConnection']),
      inForce: state >= IP_CONFIG && state <= ACTIVATED,
      pluginVpn: false,
      devicePath: path,
      activePath: nonEmptyOf(device['ActiveConnection']),
      active: tree.get(device['ActiveConnection'], ACTIVE),
      configPaths: { 4: device['Ip4Config'], 6: device['Ip6Config'] },
    };
  });
  const tunnels = tree.paths(ACTIVE).flatMap((path): Owner[] => {
    const active = tree.get(path, ACTIVE);
    if (active['Vpn'] !== true) return [];
    const configPaths = { 4: active['Ip4Config'], 6: active['Ip6Config'] };
    // The tunnel's device shares the IP configuration objects of the VPN (seen with 1.42).
    const device = devices.find((candidate) => shareConfig(candidate.configPaths, configPaths));
    return [
      {
        interface: device?.interface,
        external: false,
        inForce: active['State'] === ACTIVE_ACTIVATED,
        pluginVpn: true,
        devicePath: undefined,
        activePath: path,
        active,
        configPaths,
      },
    ];
  });
  return [...tunnels, ...devices];
}

/** Whether NetworkManager did not make this connection but found it: then its DNS does not count. */
export function isExternal(tree: NetworkManagerTree, activePath: unknown): boolean {
  const active = tree.get(activePath, ACTIVE);
  const profile = tree.get(active['Connection'], 'org.freedesktop.NetworkManager.Settings.Connection');
  return (
    ((numberOf(active['StateFlags']) ?? 0) & EXTERNAL_ACTIVATION) !== 0 ||
    ((numberOf(profile['Flags']) ?? 0) & EXTERNAL_PROFILE) !== 0
  );
}

/** Whether two have the same IP configuration objects, as a plugin VPN and the device of its tunnel do. */
export const shareConfig = (a: Owner['configPaths'], b: Owner['configPaths']): boolean =>
  ([4, 6] as const).some((family) => a[family] === b[family] && a[family] !== '/' && a[family] !== undefined);

/** The IP configuration of an owner. */
export const configOf = (owner: Owner, family: Family, tree: NetworkManagerTree): Properties =>
  tree.get(
    owner.configPaths[family],
    family === 4 ? 'org.freedesktop.NetworkManager.IP4Config' : 'org.freedesktop.NetworkManager.IP6Config',
  );

/** The servers that an IP configuration has. */
export const serversOf = (config: Properties, family: Family): readonly string[] =>
  family === 4 ? foursOf(config['NameserverData']) : sixesOf(config['Nameservers']);

/** NM_ACTIVATION_STATE_FLAG_EXTERNAL and NM_SETTINGS_CONNECTION_FLAG_EXTERNAL. */
const EXTERNAL_ACTIVATION = 0x80;
const EXTERNAL_PROFILE = 0x8;
/** NM_DEVICE_STATE_IP_CONFIG and _ACTIVATED: a device's DNS enters with the first and leaves after the last. */
const IP_CONFIG = 70;
const ACTIVATED = 100;
const ACTIVE_ACTIVATED = 2;
