/** The part of dns-packet that the probe and the tests use. The package ships no types. */
declare module 'dns-packet' {
  interface PacketRecord {
    readonly type: string;
    readonly name: string;
    readonly ttl?: number;
    readonly class?: string;
    readonly data?: unknown;
    readonly udpPayloadSize?: number;
    readonly flags?: number;
    readonly options?: readonly { readonly code: number; readonly data?: Uint8Array }[];
  }
  interface Packet {
    readonly type: 'query' | 'response';
    readonly id: number;
    readonly flags: number;
    readonly rcode?: string;
    readonly questions: readonly { readonly type: string; readonly name: string }[];
    readonly answers?: readonly PacketRecord[];
    readonly authorities?: readonly PacketRecord[];
    readonly additionals?: readonly PacketRecord[];
  }
  export const RECURSION_DESIRED: number;
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Packet;
}
