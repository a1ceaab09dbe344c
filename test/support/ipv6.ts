import { networkInterfaces } from 'node:os';

/** Why IPv6 cannot be tried here; undefined when it can. */
export const noIpv6: string | undefined = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1')
  ? undefined
  : 'this machine has no IPv6';
