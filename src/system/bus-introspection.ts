import { type BusArgument, type InterfaceTable, type ObjectTree, signatureOf } from './bus-interface.ts';

/** The interfaces that every object has by the D-Bus specification. */
export const STANDARD: Readonly<Record<'peer' | 'introspectable' | 'properties', InterfaceTable>> = {
  peer: {
    name: 'org.freedesktop.DBus.Peer',
    methods: { Ping: {}, GetMachineId: { out: [['s', 'machine_uuid']] } },
    properties: {},
    signals: {},
  },
  introspectable: {
    name: 'org.freedesktop.DBus.Introspectable',
    methods: { Introspect: { out: [['s', 'xml_data']] } },
    properties: {},
    signals: {},
  },
  properties: {
    name: 'org.freedesktop.DBus.Properties',
    methods: {
      Get: {
        in: [
          ['s', 'interface_name'],
          ['s', 'property_name'],
        ],
        out: [['v', 'value']],
      },
      GetAll: { in: [['s', 'interface_name']], out: [['a{sv}', 'props']] },
      Set: {
        in: [
          ['s', 'interface_name'],
          ['s', 'property_name'],
          ['v', 'value'],
        ],
      },
    },
    properties: {},
    signals: {
      PropertiesChanged: [
        ['s', 'interface_name'],
        ['a{sv}', 'changed_properties'],
        ['as', 'invalidated_properties'],
      ],
    },
  },
};

/** Whether a path has an object or leads to one. */
export const isNode = (tree: ObjectTree, path: string): boolean =>
  path === '/' ||
  tree.interfacesAt(path) !== undefined ||
  tree.paths().some((each) => each.startsWith(`${path}/`));

/** The introspection text of a path: its interfaces if it has an object, and the nodes right below it. */
export function introspect(tree: ObjectTree, path: string): string {
  const own = tree.interfacesAt(path);
  const standard =
    own === undefined
      ? [STANDARD.peer, STANDARD.introspectable]
      : [STANDARD.peer, STANDARD.introspectable, STANDARD.properties];
  const interfaces = [...standard, ...(own ?? []).map(({ table }) => table)];
  return [
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"',
    '"https://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">',
    '<node>',
    ...interfaces.flatMap(interfaceLines),
    ...childrenOf(tree.paths(), path).map((name) => ` <node name="${name}"/>`),
    '</node>',
    '',
  ].join('\n');
}

/** First labels of the paths below one, each once. */
function childrenOf(paths: readonly string[], path: string): readonly string[] {
  const prefix = path === '/' ? '/' : `${path}/`;
  const below = paths.filter((each) => each.startsWith(prefix) && each.length > prefix.length);
  return [...new Set(below.map((each) => each.slice(prefix.length).split('/', 1)[0] ?? ''))];
}

/** Names and signatures are our own and hold nothing that XML would want escaped. */
function interfaceLines({ name, methods, properties, signals }: InterfaceTable): readonly string[] {
  return [
    ` <interface name="${name}">`,
    ...Object.entries(methods).flatMap(([method, table]) =>
      element('method', method, [...argumentLines(table.in, 'in'), ...argumentLines(table.out, 'out')]),
    ),
    ...Object.entries(properties).map(
      ([property, { signature, writable, emits }]) =>
        `  <property name="${property}" type="${signature}" access="${writable ? 'readwrite' : 'read'}">` +
        `<annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="${EMITS[emits]}"/></property>`,
    ),
    ...Object.entries(signals).flatMap(([signal, list]) => element('signal', signal, argumentLines(list))),
    ' </interface>',
  ];
}

const EMITS = { value: 'true', invalidation: 'invalidates', nothing: 'false', constant: 'const' } as const;

const element = (kind: string, name: string, inner: readonly string[]): readonly string[] =>
  inner.length === 0
    ? [`  <${kind} name="${name}"/>`]
    : [`  <${kind} name="${name}">`, ...inner, `  </${kind}>`];

const argumentLines = (list: readonly BusArgument[] = [], direction?: 'in' | 'out'): readonly string[] =>
  list.map(
    ([signature, name]) =>
      `   <arg type="${signature}" name="${name}"${direction === undefined ? '' : ` direction="${direction}"`}/>`,
  );

/** The signature of a method's arguments; undefined when the interface has no such method. */
export function argumentsOf(table: InterfaceTable, member: string): string | undefined {
  return Object.hasOwn(table.methods, member) ? signatureOf(table.methods[member]?.in) : undefined;
}
