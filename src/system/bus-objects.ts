import type { BusValue, Variant } from './bus.ts';
import {
  type Method,
  type ObjectTree,
  type PropertyTable,
  type ServedInterface,
  signatureOf,
} from './bus-interface.ts';
import { argumentsOf, introspect, isNode, STANDARD } from './bus-introspection.ts';
import { BusError, type IncomingCall, type MethodReply, type ServiceBus } from './bus-service.ts';

/** What the standard interfaces need to know beside the objects. */
export interface ObjectServerOptions {
  /** For Peer.GetMachineId: 32 hexadecimal digits; undefined where the machine has none. */
  readonly machineId: () => string | undefined;
}

/** Objects on a bus. */
export interface ObjectServer {
  /** Tell that properties of one interface of an object have changed; each must be one whose changes are told. */
  changed(path: string, interfaceName: string, properties: readonly string[]): void;
  close(): void;
}

/** Answer all calls on a bus by the objects of a tree, with the standard interfaces of D-Bus on each. */
export function serveObjects(bus: ServiceBus, tree: ObjectTree, options: ObjectServerOptions): ObjectServer {
  const stop = bus.serve((call) => answer(call, tree, options));
  return {
    changed(path, name, properties) {
      const found = tree.interfacesAt(path)?.find(({ table }) => table.name === name);
      if (found === undefined || properties.length === 0) return;
      const values = properties.filter((property) => tableOf(found, property).emits === 'value');
      bus.emit({
        path,
        interface: STANDARD.properties.name,
        member: 'PropertiesChanged',
        signature: 'sa{sv}as',
        body: [
          name,
          Object.fromEntries(values.map((property) => [property, variantOf(found, property)])),
          properties.filter((property) => tableOf(found, property).emits === 'invalidation'),
        ],
      });
    },
    close: stop,
  };
}

const ERROR = 'org.freedesktop.DBus.Error';

async function answer(
  call: IncomingCall,
  tree: ObjectTree,
  options: ObjectServerOptions,
): Promise<MethodReply> {
  const own = tree.interfacesAt(call.path);
  const serves = ({ table }: ServedInterface): boolean =>
    (call.interface === '' || call.interface === table.name) && Object.hasOwn(table.methods, call.member);
  const found = own?.find(serves) ?? standard(call.path, own, tree, options).find(serves);
  const wanted = found && argumentsOf(found.table, call.member);
  const method = found?.methods[call.member];
  if (found === undefined || wanted === undefined || method === undefined) throw unknown(call, tree);
  if (call.signature !== wanted)
    throw new BusError(
      `${ERROR}.InvalidArgs`,
      `Invalid arguments '${call.signature}' to call ${found.table.name}.${call.member}(), expecting '${wanted}'.`,
    );
  const body = await method(call.body, call);
  return { signature: signatureOf(found.table.methods[call.member]?.out), body };
}

/** Peer is answered everywhere, because it is about the connection: Tailscale pings before it asks what is there. */
function standard(
  path: string,
  own: readonly ServedInterface[] | undefined,
  tree: ObjectTree,
  options: ObjectServerOptions,
): readonly ServedInterface[] {
  return [
    peer(options),
    ...(isNode(tree, path) ? [introspectable(tree, path)] : []),
    ...(own === undefined ? [] : [properties(own)]),
  ];
}

function unknown(call: IncomingCall, tree: ObjectTree): BusError {
  return isNode(tree, call.path)
    ? new BusError(
        `${ERROR}.UnknownMethod`,
        `Unknown method ${call.member} or interface ${call.interface || '(none)'}.`,
      )
    : new BusError(`${ERROR}.UnknownObject`, `Unknown object '${call.path}'.`);
}

function peer({ machineId }: ObjectServerOptions): ServedInterface {
  const getMachineId: Method = () => {
    const id = machineId();
    if (id === undefined) throw new BusError(`${ERROR}.FileNotFound`, 'This machine has no machine id.');
    return [id];
  };
  return { table: STANDARD.peer, methods: { Ping: () => [], GetMachineId: getMachineId }, get: {} };
}

const introspectable = (tree: ObjectTree, path: string): ServedInterface => ({
  table: STANDARD.introspectable,
  methods: { Introspect: () => [introspect(tree, path)] },
  get: {},
});

function properties(own: readonly ServedInterface[]): ServedInterface {
  return {
    table: STANDARD.properties,
    methods: {
      Get: ([name, property]) => {
        const found = interfaceWith(own, String(name), String(property));
        return [variantOf(found, String(property))];
      },
      GetAll: ([name]) => {
        // An empty name means every interface: resolvectl of systemd 252 and 257 asks that way.
        const wanted = name === '' ? own : own.filter(({ table }) => table.name === name);
        if (wanted.length === 0 && !isStandard(String(name)))
          throw new BusError(`${ERROR}.UnknownInterface`, `Unknown interface '${name}'.`);
        return [Object.assign({}, ...wanted.map(allOf))];
      },
      Set: async ([name, property, value], call) => {
        await set(interfaceWith(own, String(name), String(property)), String(property), value, call);
        return [];
      },
    },
    get: {},
  };
}

async function set(
  found: ServedInterface,
  property: string,
  value: BusValue,
  call: IncomingCall,
): Promise<void> {
  const table = tableOf(found, property);
  const write = found.set?.[property];
  if (!table.writable || write === undefined)
    throw new BusError(`${ERROR}.PropertyReadOnly`, `Property '${property}' is not writable.`);
  const variant = value as Variant;
  if (variant.signature !== table.signature)
    throw new BusError(
      `${ERROR}.InvalidArgs`,
      `Property '${property}' wants the type '${table.signature}', not '${variant.signature}'.`,
    );
  await write(variant.value, call);
}

function interfaceWith(own: readonly ServedInterface[], name: string, property: string): ServedInterface {
  const found = own.find(
    ({ table }) => (name === '' || table.name === name) && Object.hasOwn(table.properties, property),
  );
  if (found === undefined)
    throw new BusError(`${ERROR}.UnknownProperty`, `Unknown interface ${name} or property ${property}.`);
  return found;
}

const allOf = (served: ServedInterface): Record<string, Variant> =>
  Object.fromEntries(
    Object.keys(served.table.properties).map((property) => [property, variantOf(served, property)]),
  );

function variantOf(served: ServedInterface, property: string): Variant {
  const get = served.get[property];
  if (get === undefined) throw new Error(`nothing stands behind ${served.table.name}.${property}`);
  return { signature: tableOf(served, property).signature, value: get() };
}

function tableOf({ table }: ServedInterface, property: string): PropertyTable {
  const found = table.properties[property];
  if (found === undefined) throw new Error(`${table.name} has no property ${property}`);
  return found;
}

const isStandard = (name: string): boolean =>
  Object.values(STANDARD).some((standard) => standard.name === name);
