import { DnskeeperError, messageOf, systemCodeOf } from '../core/errors.ts';
import type { Server } from '../core/server.ts';
import type { RouteLink } from './routing.ts';

/** How far a server's answers have to be encrypted: `yes` never asks in the open. */
export type Encryption = 'no' | 'opportunistic' | 'yes';

/** What to do about strict encryption behind a captive portal, which lets nothing encrypted through. */
export type PortalPolicy = 'strict' | 'relax';

/**
 * How a server of a link is to be asked: the link's own setting before the general one, and a server that is written as
 * encrypted never in the open, but for a link that stands behind a captive portal where that was allowed.
 */
export function encryptionOf(
  server: Server,
  link: RouteLink,
  general: Encryption,
  portal: PortalPolicy,
): Encryption {
  const wanted = wantedEncryption(server, link, general);
  return wanted === 'yes' && portal === 'relax' && link.behindPortal === true ? 'opportunistic' : wanted;
}

/** Whether a link stands behind a captive portal with servers that are asked encrypted alone. */
export const isCutOff = (link: RouteLink, general: Encryption): boolean =>
  link.behindPortal === true &&
  link.servers.some((server) => wantedEncryption(server, link, general) === 'yes');

/** What stands between us and an encrypted server, as an error that tells people where to look. */
export class EncryptionError extends DnskeeperError {
  /** `certificate`: somebody answers who cannot prove to be the server; `handshake`: nobody there speaks TLS. */
  readonly fault: 'certificate' | 'handshake';

  constructor(host: string, cause: unknown) {
    const certificate = certificateFault(cause);
    super(
      cause instanceof DnskeeperError ? cause.code : 'IO',
      certificate === undefined
        ? `${host} takes connections but does not speak TLS: ${messageOf(cause)}`
        : `the certificate of ${host} ${certificate}`,
      cause,
    );
    this.fault = certificate === undefined ? 'handshake' : 'certificate';
  }
}

/** Why a handshake failed, where it was the certificate: a clause. Undefined for any other failure. */
function certificateFault(error: unknown): string | undefined {
  const code = systemCodeOf(error) ?? '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'is for another name or address';
  return CERTIFICATE_FAULTS[code];
}

/** The codes that Node.js takes over from OpenSSL's check of a chain (X509_V_ERR_…). */
const CERTIFICATE_FAULTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet; is the clock right?',
  CERT_REVOKED: 'was revoked',
  CERT_REJECTED: 'is rejected',
  CERT_UNTRUSTED: 'is not to be trusted',
  CERT_SIGNATURE_FAILURE: 'has a wrong signature',
  CERT_CHAIN_TOO_LONG: 'has too long a chain',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is signed by itself alone',
  SELF_SIGNED_CERT_IN_CHAIN: 'comes from an authority that nobody trusts',
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'comes from an authority that this machine does not trust',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'came without what links it to an authority',
  INVALID_CA: 'comes from an authority that may not give it',
  INVALID_PURPOSE: 'is not for a server',
};

function wantedEncryption(server: Server, link: RouteLink, general: Encryption): Encryption {
  if (server.protocol === 'tls') return 'yes';
  const own = link.dnsOverTls;
  return own === 'yes' || own === 'no' || own === 'opportunistic' ? own : general;
}
