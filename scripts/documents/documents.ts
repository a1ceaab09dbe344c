import { DNSCTL, DNSKEEPERD } from '../../src/control/command-table.ts';
import { CONFIG_KEYS } from '../../src/core/config-keys.ts';
import { PROFILE_KEYS } from '../../src/core/profile-keys.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completions.ts';
import { exampleConfiguration } from './example-configuration.ts';
import { configurationPage, programPage } from './man-page.ts';

/** Every made document: path in the repository and text. */
export const documents = (): readonly { readonly path: string; readonly text: string }[] => [
  ...[DNSCTL, DNSKEEPERD].flatMap((program) => [
    { path: `docs/man/${program.name}.${program.section}`, text: programPage(program) },
    { path: `docs/completions/${program.name}.bash`, text: bashCompletion(program) },
    { path: `docs/completions/_${program.name}`, text: zshCompletion(program) },
    { path: `docs/completions/${program.name}.fish`, text: fishCompletion(program) },
  ]),
  { path: 'docs/man/dnskeeper.toml.5', text: configurationPage(CONFIG_KEYS, PROFILE_KEYS) },
  { path: 'examples/dnskeeper.toml', text: exampleConfiguration(CONFIG_KEYS) },
];
