import type { ConfigKey } from '../../src/core/config-keys.ts';

/** examples/dnskeeper.toml: every key with its default, commented out, and one line of why. */
export function exampleConfiguration(keys: readonly Omit<ConfigKey, 'parse'>[]): string {
  const lines = [
    '# dnskeeper: every key with its default. Copy to /etc/dnskeeper/config.toml and take the # off what you change.',
    '# Made by "npm run documents" from src/core/config-keys.ts; dnskeeper.toml(5) says more.',
  ];
  let table = '';
  for (const { key, type, default: value, why } of keys) {
    const dot = key.indexOf('.');
    if (key.slice(0, dot) !== table) {
      table = key.slice(0, dot);
      lines.push('', `[${table}]`);
    }
    lines.push(`# ${why}`, `# ${type}`, `#${key.slice(dot + 1)} = ${value}`);
  }
  lines.push('', '# Rules per network, [[profile]], are in profiles.toml beside this file.');
  return `${lines.join('\n')}\n`;
}
