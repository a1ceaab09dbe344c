/** The parts of dbus-next that its own types leave out; see dbus-next-bus.ts for why these and no others. */
declare module 'dbus-next/lib/connection.js' {
  import type { EventEmitter } from 'node:events';
  import type { Duplex } from 'node:stream';
  import type { Message } from 'dbus-next/lib/message-type.js';

  interface RawConnection extends EventEmitter {
    readonly stream: Duplex;
    message(message: Message): void;
  }
  function createConnection(options: {
    readonly busAddress: string;
    readonly authMethods: readonly string[];
  }): RawConnection;
  export default createConnection;
}

declare module 'dbus-next/lib/dbus-buffer.js' {
  class DBusBuffer {
    constructor(
      buffer: Buffer,
      start: number,
      endian: number,
      fds: null,
      options: { readonly ayBuffer: boolean },
    );
    /** Skip to a multiple of 2 to this power. */
    align(power: number): void;
    read(signature: string): unknown[];
  }
  export default DBusBuffer;
}

declare module 'dbus-next/lib/marshall-compat.js' {
  interface Body {
    readonly signature: string;
    readonly body: unknown[];
  }
  const exported: { readonly messageToJsFmt: (message: Body) => Body };
  export default exported;
}

declare module 'dbus-next/lib/message-type.js' {
  interface MessageFields {
    type?: number;
    serial?: number;
    path?: string | undefined;
    interface?: string | undefined;
    member?: string | undefined;
    errorName?: string | undefined;
    replySerial?: number | undefined;
    destination?: string | undefined;
    sender?: string | undefined;
    signature?: string;
    body?: unknown[];
    flags?: number;
  }
  class Message {
    constructor(fields: MessageFields);
    readonly type: number;
    readonly serial: number;
    readonly path?: string;
    readonly interface?: string;
    readonly member?: string;
    readonly errorName?: string;
    readonly replySerial?: number;
    readonly destination?: string;
    readonly sender?: string;
    readonly signature: string;
    readonly body: unknown[];
    readonly flags: number;
  }
  const exported: { readonly Message: typeof Message };
  export default exported;
  export type { Message };
}

declare module 'dbus-next/lib/variant.js' {
  class Variant {
    constructor(signature: string, value: unknown);
    readonly signature: string;
    readonly value: unknown;
  }
  const exported: { readonly Variant: typeof Variant };
  export default exported;
}
