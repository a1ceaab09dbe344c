/** A small reader of varlink interface descriptions, enough to hold real replies against them. */
export interface Description {
  /** What is wrong with the reply of a method; empty when it is as described. */
  check(method: string, reply: unknown): string[];
  /** Fields of a type; those of records inside it as `foreign.time`. */
  fields(type: string): string[];
  readonly types: readonly string[];
  readonly methods: readonly string[];
}

type Type =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'maybe'; readonly of: Type }
  | { readonly kind: 'list'; readonly of: Type }
  | { readonly kind: 'record'; readonly fields: ReadonlyMap<string, Type> };

const BASIC: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  bool: (value) => typeof value === 'boolean',
  int: (value) => Number.isSafeInteger(value),
  float: (value) => typeof value === 'number',
};

/** Read a description; throws where it does not follow the grammar of https://varlink.org/Interface-Definition. */
export function readDescription(text: string): Description {
  const tokens = text.replace(/#.*$/gm, '').match(/[A-Za-z][A-Za-z0-9_.]*|->|\[\]|[():,?]|\S/g) ?? [];
  const types = new Map<string, Type>();
  const replies = new Map<string, Type>();
  const take = (wanted?: string): string => {
    const token = tokens.shift() ?? 'the end';
    if (wanted !== undefined && token !== wanted) throw new Error(`wanted ${wanted}, got ${token}`);
    return token;
  };
  const readRecord = (): Type => {
    const fields = new Map<string, Type>();
    take('(');
    while (tokens[0] !== ')') {
      const name = take();
      if (!/^[A-Za-z](_?[A-Za-z0-9])*$/.test(name) || fields.has(name)) throw new Error(`bad field ${name}`);
      take(':');
      fields.set(name, readType());
      if (tokens[0] !== ')') take(',');
    }
    take(')');
    return { kind: 'record', fields };
  };
  const readType = (): Type => {
    if (tokens[0] === '(') return readRecord();
    const token = take();
    if (token === '?') return { kind: 'maybe', of: readType() };
    if (token === '[]') return { kind: 'list', of: readType() };
    return { kind: 'name', name: token };
  };
  take('interface');
  take();
  while (tokens.length > 0) {
    const keyword = take();
    const name = take();
    if (!/^[A-Z][A-Za-z0-9]*$/.test(name)) throw new Error(`bad name ${name}`);
    if (keyword === 'method') {
      readRecord();
      take('->');
      replies.set(name, readRecord());
    } else if (keyword === 'type') types.set(name, readRecord());
    else if (keyword === 'error') readRecord();
    else throw new Error(`unknown keyword ${keyword}`);
  }
  const named = (name: string): Type => {
    const type = types.get(name);
    if (type === undefined) throw new Error(`no type ${name}`);
    return type;
  };
  const problems = (type: Type, value: unknown, at: string): string[] => {
    if (type.kind === 'maybe')
      return value === undefined || value === null ? [] : problems(type.of, value, at);
    if (type.kind === 'list') {
      if (!Array.isArray(value)) return [`${at}: no list`];
      return value.flatMap((one, index) => problems(type.of, one, `${at}[${index}]`));
    }
    if (type.kind === 'name') {
      const basic = BASIC[type.name];
      if (basic === undefined) return problems(named(type.name), value, at);
      return basic(value) ? [] : [`${at}: no ${type.name} (${JSON.stringify(value)})`];
    }
    if (typeof value !== 'object' || value === null) return [`${at}: no object`];
    const strangers = Object.keys(value).filter((key) => !type.fields.has(key));
    return [
      ...strangers.map((key) => `${at}.${key}: not described`),
      ...[...type.fields].flatMap(([key, of]) =>
        problems(of, (value as Record<string, unknown>)[key], `${at}.${key}`),
      ),
    ];
  };
  const paths = (type: Type, at: string): string[] => {
    if (type.kind === 'maybe' || type.kind === 'list') return paths(type.of, at);
    if (type.kind === 'name') return [at];
    return [...type.fields].flatMap(([key, of]) => paths(of, at === '' ? key : `${at}.${key}`));
  };
  return {
    check: (method, reply) => problems(replies.get(method) ?? named(method), reply, method),
    fields: (type) => paths(named(type), ''),
    methods: [...replies.keys()],
    types: [...types.keys()],
  };
}
