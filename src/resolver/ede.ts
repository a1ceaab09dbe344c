import { DnskeeperError, messageOf } from '../core/errors.ts';
import { EncryptionError } from './encryption.ts';

/** The Extended DNS Errors (RFC 8914, IANA registry) that the resolver itself gives. */
export const EDE = {
  other: 0,
  notReady: 14,
  filtered: 17,
  prohibited: 18,
  notSupported: 21,
  noReachableAuthority: 22,
  networkError: 23,
} as const;

/** A server that would ask us again what we ask it. */
export class CircleError extends DnskeeperError {}

/** A bound of our own was reached before anything was sent: it tells nothing of the server, and passes by itself. */
export class NoRoomError extends DnskeeperError {
  constructor(message: string) {
    super('IO', message);
  }
}

/**
 * What a client is told about servers that could not be asked: the reason at the bottom of the chain, because "no server
 * could be asked" says nothing that anybody could act on.
 */
export function extendedErrorOf(error: unknown): {
  readonly code: number;
  readonly text: string;
  /** The server would have asked us again. */
  readonly circle?: true;
} {
  const reasons = chainOf(error).filter((each) => each instanceof DnskeeperError);
  const reason = reasons.find((each) => each instanceof EncryptionError) ?? reasons.at(-1);
  if (reason === undefined) return { code: EDE.other, text: messageOf(error) };
  const text = reason.message;
  if (reason instanceof CircleError) return { code: EDE.other, text, circle: true };
  if (reason instanceof NoRoomError) return { code: EDE.notReady, text };
  const talked = reason instanceof EncryptionError || reason.code === 'PROTOCOL';
  return { code: talked ? EDE.networkError : EDE.noReachableAuthority, text };
}

function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  let each: unknown = error;
  while (each instanceof Error && chain.length < 8) {
    chain.push(each);
    each = each.cause;
  }
  return chain;
}
