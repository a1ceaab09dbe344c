/** The part of dns-packet that the probe uses. The package ships no types. */
declare module 'dns-packet' {
  interface Packet {
    readonly type: 'query' | 'response';
    readonly id: number;
    readonly flags: number;
    readonly rcode?: string;
    readonly questions: readonly { readonly type: string; readonly name: string }[];
  }
  export const RECURSION_DESIRED: number;
  export function encode(packet: Packet): Buffer;
  export function decode(bytes: Buffer): Packet;
}
