import type { BusValue } from './bus.ts';
import type { IncomingCall } from './bus-service.ts';

/** An argument: its signature of one complete type, and its name. */
export type BusArgument = readonly [signature: string, name: string];

/** A method as introspection shows it. */
export interface MethodTable {
  readonly in?: readonly BusArgument[];
  readonly out?: readonly BusArgument[];
}

/** A property as introspection shows it. */
export interface PropertyTable {
  readonly signature: string;
  readonly writable?: true;
  /** Whether changes are told (EmitsChangedSignal): with the value, without it, never, or it never changes. */
  readonly emits: 'value' | 'invalidation' | 'nothing' | 'constant';
}

/** A whole D-Bus interface as data. */
export interface InterfaceTable {
  readonly name: string;
  readonly methods: Readonly<Record<string, MethodTable>>;
  readonly properties: Readonly<Record<string, PropertyTable>>;
  readonly signals: Readonly<Record<string, readonly BusArgument[]>>;
}

/** Answers a method: arguments fit the table's signature, and so must what it returns. Throws BusError to refuse. */
export type Method = (
  body: readonly BusValue[],
  call: IncomingCall,
) => readonly BusValue[] | Promise<readonly BusValue[]>;

/** An interface on one object: the table and what stands behind each name in it. */
export interface ServedInterface {
  readonly table: InterfaceTable;
  readonly methods: Readonly<Record<string, Method>>;
  readonly get: Readonly<Record<string, () => BusValue>>;
  /** For writable properties; the value fits the property's signature. */
  readonly set?: Readonly<Record<string, (value: BusValue, call: IncomingCall) => void | Promise<void>>>;
}

/** The objects that there are right now. */
export interface ObjectTree {
  /** The interfaces of an object beside the standard ones; undefined where there is none. */
  interfacesAt(path: string): readonly ServedInterface[] | undefined;
  /** All paths that have an object, in the order in which they are to be listed. */
  paths(): readonly string[];
}

/** All arguments' signatures in a row, as a message carries them. */
export const signatureOf = (list: readonly BusArgument[] = []): string =>
  list.map(([signature]) => signature).join('');
