import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { succeed } from './processes.ts';

/**
 * Make a certificate authority, `server` and `client` in a folder: `ca.crt`, `server.key`, …; good for two days. The server has
 * the alternative names that are given: `DNS:dot.example`.
 */
export async function makeCertificates(folder: string, serverNames: readonly string[] = []): Promise<void> {
  const at = (name: string): string => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const authority = ['-x509', ...newKey, '-days', '2', '-subj', '/CN=lab'];
  await succeed('openssl', ['req', ...authority, '-keyout', at('ca.key'), '-out', at('ca.crt')]);
  for (const [name, usage] of [
    ['server', 'serverAuth'],
    ['client', 'clientAuth'],
  ] as const) {
    const request = [
      ...newKey,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      at(`${name}.key`),
      '-out',
      at(`${name}.csr`),
    ];
    await succeed('openssl', ['req', ...request]);
    const names = name === 'server' && serverNames.length > 0 ? `subjectAltName=${serverNames}\n` : '';
    await writeFile(at(`${name}.ext`), `extendedKeyUsage=${usage}\nkeyUsage=digitalSignature\n${names}`);
    const signing = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
    const files = ['-in', at(`${name}.csr`), '-extfile', at(`${name}.ext`), '-out', at(`${name}.crt`)];
    await succeed('openssl', ['x509', '-req', ...signing, ...files]);
  }
}
