import type { VarlinkInterface } from '../system/varlink-interface.ts';

/** The interface over a daemon. Everybody may call: the folder is root's, and looking at it again changes nothing. */
export function recordsInterface(take: () => Promise<void>): VarlinkInterface {
  return {
    name: RECORDS_INTERFACE,
    description: RECORDS_DESCRIPTION,
    methods: {
      Take: {
        async answer() {
          await take();
          return {};
        },
      },
    },
  };
}

/** Name of the varlink interface by which resolvconf(8) tells that there is something new. */
const RECORDS_INTERFACE = 'io.dnskeeper.records';

/** The description that `varlinkctl introspect` shows. */
const RECORDS_DESCRIPTION = `# dnskeeper: what resolvconf(8) has stored in /run/dnskeeper/records.
interface io.dnskeeper.records

# Look at the records now. The reply comes when what they lead to is in force.
method Take() -> ()
`;
