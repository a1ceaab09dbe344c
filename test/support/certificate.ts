import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.ts';

/** A key and a certificate that signs itself, so that it is its own authority. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A certificate for these subject alternative names (`DNS:dns.example`, `IP:127.0.0.1`), made by openssl(1). */
export function certificateFor(...names: readonly string[]): Certificate {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  const config = `[req]\ndistinguished_name=n\nx509_extensions=x\nprompt=no\n[n]\nCN=test\n[x]\nsubjectAltName=${names.join(',')}\nbasicConstraints=critical,CA:TRUE\n`;
  writeFileSync(at('config'), config);
  const run = spawnSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'].concat([
      '-config',
      at('config'),
      '-keyout',
      at('key'),
      '-out',
      at('cert'),
    ]),
    { encoding: 'utf8' },
  );
  if (run.status !== 0)
    throw new Error(`wanted a certificate from openssl: ${run.stderr || String(run.error)}`);
  return { key: readFileSync(at('key'), 'utf8'), cert: readFileSync(at('cert'), 'utf8') };
}
