import { isObject, VarlinkError, type VarlinkParameters } from './varlink-frames.ts';
import type {
  ParameterKind,
  ParameterKinds,
  ServiceInfo,
  VarlinkInterface,
  VarlinkMethod,
} from './varlink-interface.ts';

/** Finds the method of a call. */
export interface MethodTable {
  /** Throws the VarlinkError that varlink defines for what is missing. */
  find(qualified: string): VarlinkMethod;
}

/** A call after its top-level fields were checked. */
export interface CallMessage {
  readonly method: string;
  readonly parameters: VarlinkParameters;
  readonly more: boolean;
  readonly oneway: boolean;
}

const SERVICE = 'org.varlink.service';

/** All methods of the given interfaces, and org.varlink.service, which describes them. */
export function methodTable(interfaces: readonly VarlinkInterface[], info: ServiceInfo): MethodTable {
  const all = new Map<string, VarlinkInterface>();
  for (const each of [...interfaces, serviceInterface(all, info)]) all.set(each.name, each);
  return {
    find(qualified) {
      const dot = qualified.lastIndexOf('.');
      const name = qualified.slice(0, Math.max(dot, 0));
      const found = all.get(name);
      if (found === undefined) throw new VarlinkError(`${SERVICE}.InterfaceNotFound`, { interface: name });
      const method = qualified.slice(dot + 1);
      if (Object.hasOwn(found.methods, method)) return found.methods[method] as VarlinkMethod;
      const declared = new RegExp(`^method ${method.replace(/[^A-Za-z0-9]/g, '')}\\(`, 'm').test(
        found.description,
      );
      const error =
        declared && /^[A-Z][A-Za-z0-9]*$/.test(method) ? 'MethodNotImplemented' : 'MethodNotFound';
      throw new VarlinkError(`${SERVICE}.${error}`, { method: qualified });
    },
  };
}

/** Check the top-level fields of a call; every field that varlink does not have is refused. */
export function callMessage(message: Record<string, unknown>): CallMessage {
  const { method, parameters = {}, more = false, oneway = false, upgrade = false, ...unknown } = message;
  const refuse = (parameter: string): never => {
    throw new VarlinkError(`${SERVICE}.InvalidParameter`, { parameter });
  };
  const [stranger] = Object.keys(unknown);
  if (stranger !== undefined) refuse(stranger.slice(0, 64));
  if (upgrade !== false) refuse('upgrade');
  if (typeof more !== 'boolean' || (more && oneway === true)) return refuse('more');
  if (typeof oneway !== 'boolean') return refuse('oneway');
  if (typeof method !== 'string' || method.length > 255) return refuse('method');
  if (!isObject(parameters)) return refuse('parameters');
  return { method, parameters, more, oneway };
}

/** Check the parameters of a call against what its method takes. */
export function checkParameters(
  parameters: VarlinkParameters,
  takes: readonly string[] | ParameterKinds,
): void {
  const kinds = isList(takes) ? allStrings(takes) : takes;
  const wrong =
    Object.keys(parameters).find((name) => !Object.hasOwn(kinds, name)) ??
    Object.keys(kinds).find((name) => !fits(parameters[name], kinds[name] ?? 'string'));
  if (wrong !== undefined) {
    throw new VarlinkError(`${SERVICE}.InvalidParameter`, { parameter: wrong.slice(0, 64) });
  }
}

const isList = (takes: readonly string[] | ParameterKinds): takes is readonly string[] =>
  Array.isArray(takes);

const allStrings = (names: readonly string[]): ParameterKinds =>
  Object.fromEntries(names.map((name) => [name, 'string']));

function fits(value: unknown, kind: ParameterKind): boolean {
  if (kind.endsWith('?') && (value === undefined || value === null)) return true;
  switch (kind.replace('?', '')) {
    case 'int':
      return Number.isSafeInteger(value);
    case 'bool':
      return typeof value === 'boolean';
    case 'bytes':
      return Array.isArray(value) && value.length <= MOST_BYTES && value.every(isByte);
    default:
      return typeof value === 'string';
  }
}

/** No list of bytes in any call is longer than a name. */
const MOST_BYTES = 255;

const isByte = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;

function serviceInterface(all: ReadonlyMap<string, VarlinkInterface>, info: ServiceInfo): VarlinkInterface {
  return {
    name: SERVICE,
    description: SERVICE_DESCRIPTION,
    methods: {
      GetInfo: { answer: () => ({ ...info, interfaces: [...all.keys()].sort() }) },
      GetInterfaceDescription: {
        takes: ['interface'],
        answer: ({ parameters }) => {
          const found = all.get(String(parameters['interface']));
          if (found !== undefined) return { description: found.description };
          throw new VarlinkError(`${SERVICE}.InterfaceNotFound`, { interface: parameters['interface'] });
        },
      },
    },
  };
}

/** The interface every varlink service has; its names are fixed by https://varlink.org/Service. */
const SERVICE_DESCRIPTION = `# Describes the service and its interfaces.
interface org.varlink.service

# Who this is and which interfaces it has.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# The description of one interface.
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)

error MethodNotFound (method: string)

error MethodNotImplemented (method: string)

error InvalidParameter (parameter: string)

error PermissionDenied ()

# The method can only be called with the flag "more".
error ExpectedMore ()
`;
