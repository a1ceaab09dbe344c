/** Sets a link's server again and again: `node settings-client.ts '{…}'` with the fields of `SettingsLoad`. */
import { BodyWriter, callBytes, METHOD_RETURN, rawBus } from '../test/support/raw-bus.ts';

/** What is set, and how often. */
export interface SettingsLoad {
  readonly socket: string;
  readonly ifindex: number;
  readonly calls: number;
}

/** How long all calls took, and the server that was set last. */
export interface SettingsLoaded {
  readonly milliseconds: number;
  readonly last: string;
}

if (import.meta.main)
  console.log(JSON.stringify(await run(JSON.parse(process.argv[2] ?? '{}') as SettingsLoad)));

async function run({ socket, ifindex, calls }: SettingsLoad): Promise<SettingsLoaded> {
  const bus = await rawBus(socket);
  const started = performance.now();
  let address: readonly number[] = [];
  for (let call = 0; call < calls; call++) {
    address = [198, 51, 100 + (call >> 8), call & 255];
    const { type, errorName } = await bus.send(setLinkDns(ifindex, address));
    if (type !== METHOD_RETURN)
      throw new Error(`setting ${address.join('.')} was answered with ${errorName}`);
  }
  const milliseconds = performance.now() - started;
  bus.close();
  return { milliseconds, last: address.join('.') };
}

function setLinkDns(ifindex: number, address: readonly number[]): Buffer {
  const body = new BodyWriter().uint32(ifindex).array(8, (rows) => {
    rows.align(8).uint32(2).uint32(address.length).bytes(Uint8Array.from(address));
  });
  return callBytes({
    destination: 'org.freedesktop.resolve1',
    path: '/org/freedesktop/resolve1',
    interface: 'org.freedesktop.resolve1.Manager',
    member: 'SetLinkDNS',
    signature: 'ia(iay)',
    body: body.take(),
  });
}
