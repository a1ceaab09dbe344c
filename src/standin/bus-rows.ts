import type { BusValue } from '../system/bus.ts';
import { AF } from '../system/socket-address.ts';
import type { ServerView } from './view.ts';

/** The kernel's number of a family, as the interfaces use it. */
export const familyNumber = (family: 4 | 6): number => (family === 4 ? AF.inet : AF.inet6);

/** A server as (iiay). */
export const serverRow = ({ ifindex, address }: ServerView): readonly BusValue[] => [
  ifindex,
  familyNumber(address.family),
  Uint8Array.from(address.bytes),
];

/** A server as (iiayqs). */
export const serverRowEx = (server: ServerView): readonly BusValue[] => [
  ...serverRow(server),
  server.port,
  server.name,
];

const NO_ADDRESS = new Uint8Array(0);

/** The server in use as (iiay); zeros where there is none. */
export const currentServer = (server: ServerView | undefined): readonly BusValue[] =>
  server === undefined ? [0, 0, NO_ADDRESS] : serverRow(server);

/** The server in use as (iiayqs). */
export const currentServerEx = (server: ServerView | undefined): readonly BusValue[] =>
  server === undefined ? [0, 0, NO_ADDRESS, 0, ''] : serverRowEx(server);
