#!/usr/bin/env node
/**
 * resolvconf(8): a program of its own that starts as fast as Node does, so it imports little. It only keeps records;
 * what they lead to is decided by dnskeeperd, which takes them whenever it runs.
 */
import { fstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isatty } from 'node:tty';
import { DnskeeperError, messageOf, systemCodeOf } from './core/errors.ts';
import { matchesPattern } from './core/glob.ts';
import {
  interfaceOfKey,
  MOST_RECORD_BYTES,
  parseInput,
  parseKey,
  type StoredRecord,
  shownKey,
} from './core/record.ts';
import { RESOLVCONF_USAGE, type ResolvconfCall, readCall } from './core/record-call.ts';
import { type Listing, listRecords, listVariables } from './core/record-listing.ts';
import { exclusiveRecord } from './core/record-order.ts';
import { DEFAULT_RULES, type ResolvconfRules } from './core/record-rules.ts';
import { printable } from './core/text.ts';
import { VERSION } from './core/version.ts';
import { type RecordFolder, recordFolder } from './system/record-folder.ts';
import { linksBelow, recordPaths } from './system/record-paths.ts';
import { type RulesOfMachine, rulesOfMachine } from './system/record-rules.ts';
import { print, tell } from './system/standard-output.ts';
import { callVarlink } from './system/varlink-client.ts';

/** How long standard input may take to end. */
const INPUT_MS = 30_000;

/** How long dnskeeperd may take to act; programs such as NetworkManager stand still meanwhile. */
const TAKEN_MS = 3000;

process.exitCode = await main();

async function main(): Promise<number> {
  const call = readCall(process.argv.slice(2), process.env);
  if ('wrong' in call) return complain(`${call.wrong}; resolvconf --help shows what there is`);
  try {
    return await run(call);
  } catch (error) {
    if (!(error instanceof DnskeeperError)) throw error;
    return complain(error.message);
  }
}

async function run(call: ResolvconfCall): Promise<number> {
  const paths = recordPaths(call.root);
  const folder = recordFolder(paths.folder);
  const rules = (): ResolvconfRules => readableRules(rulesOfMachine(paths));
  const { command, operands, force } = call;
  switch (command) {
    case 'help':
      return say(RESOLVCONF_USAGE);
    case 'version':
      // Programs look for the first word, to know how to call us.
      return say(`openresolv 3.17 (as dnskeeper ${VERSION} speaks it)\n`);
    case 'a':
      return settle(call, await add(call, folder));
    case 'd':
      return settle(call, remove(operands, force, folder));
    case 'C':
    case 'c':
      return settle(call, deprecate(command, operands, folder));
    case 'i':
    case 'l':
    case 'L':
    case 'Li':
    case 'p':
    case 'pp':
    case 'x':
      return list(listRecords(command, operands, force, folder.read().set, rules()));
    case 'v':
      return say(listVariables(operands, folder.read().set, rules()));
    case 'V':
      return say(listVariables([], { records: [], deprecated: [] }, ownRules(rules())));
    case 'u':
      return settle(call, { exit: 0, changed: true });
    case 'I':
      folder.clear();
      return settle(call, { exit: 0, changed: true });
    case 'D':
      for (const file of operands) makeFolderOf(file);
      return 0;
    case 'enable-updates':
    case 'disable-updates':
      folder.setUpdates(command === 'enable-updates');
      return settle(call, { exit: 0, changed: command === 'enable-updates' });
    case 'updates-are-enabled':
      return folder.updates ? 0 : 1;
    default:
      return restart(command, operands);
  }
}

function makeFolderOf(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
  } catch (error) {
    const code = systemCodeOf(error) ?? messageOf(error);
    throw new DnskeeperError('IO', `wanted a folder for ${printable(file, 200)}, got ${code}`, error);
  }
}

function readableRules({ rules, unreadable }: RulesOfMachine): ResolvconfRules {
  if (unreadable !== undefined) throw new DnskeeperError('IO', unreadable);
  return rules;
}

/** What a command did to the records. */
interface Done {
  readonly exit: number;
  readonly changed: boolean;
}

async function add(
  { operands, metric, private: own, nosearch, exclusive, root }: ResolvconfCall,
  folder: RecordFolder,
): Promise<Done> {
  const key = parseKey(operands[0] ?? '');
  if (!key.ok)
    return { exit: complain(`wanted a key such as eth0.dhclient, got ${key.reason}`), changed: false };
  if (isatty(0))
    return { exit: complain('wanted resolv.conf(5) text on standard input, got a terminal'), changed: false };
  const input = parseInput(await standardInput());
  if (!input.ok)
    return {
      exit: complain(
        `wanted resolv.conf(5) text on standard input, got ${input.reason}; the record ${shownKey(key.value)} is as it was`,
      ),
      changed: false,
    };
  const links = linksBelow(root);
  folder.sweep(links);
  const link = interfaceOfKey(key.value, links);
  const order = exclusive ? exclusiveOrder(key.value, folder) : undefined;
  const record: StoredRecord = {
    key: key.value,
    text: input.value,
    private: own,
    nosearch,
    ...(metric === undefined ? {} : { metric: Number(metric) }),
    ...(order === undefined ? {} : { exclusive: order }),
    ...(link === undefined ? {} : { interface: { name: link.name, ifindex: link.ifindex } }),
  };
  return { exit: 0, changed: folder.store(record) };
}

/** The newest keeps its number, so that the same again is no change. */
function exclusiveOrder(key: string, folder: RecordFolder): number {
  const newest = exclusiveRecord(folder.read().set, DEFAULT_RULES);
  const number = newest?.exclusive ?? 0;
  return newest?.key === key ? number : number + 1;
}

function remove(patterns: readonly string[], force: boolean, folder: RecordFolder): Done {
  const keys = folder.read().set.records.map(({ key }) => key);
  let changed = false;
  for (const pattern of patterns) {
    const found = keys.filter((key) => matchesPattern(pattern, key));
    for (const key of found) changed = folder.remove(key) || changed;
    if (found.length === 0 && !force) tell(`No resolv.conf for key ${shownKey(pattern)}\n`);
  }
  return { exit: changed || force ? 0 : 1, changed };
}

function deprecate(command: 'C' | 'c', patterns: readonly string[], folder: RecordFolder): Done {
  let changed = false;
  for (const pattern of patterns) {
    const key = parseKey(pattern.replace(/\*/g, 'x'));
    if (!key.ok) return { exit: complain(`wanted a pattern of keys, got ${key.reason}`), changed };
    const known = folder
      .read()
      .set.deprecated.filter((each) => each === pattern || matchesPattern(pattern, each));
    if (command === 'C') changed = folder.deprecate(pattern) || changed;
    else for (const each of known) changed = folder.restore(each) || changed;
  }
  return { exit: 0, changed };
}

/**
 * Whoever called wants names to resolve when we return, so dnskeeperd is told and waited for. NetworkManager is not: it
 * stands still while we run, and its record is what we know from it already. Without a daemon the record waits.
 */
async function settle({ operands, root }: ResolvconfCall, { exit, changed }: Done): Promise<number> {
  if (!changed || operands[0] === 'NetworkManager') return exit;
  try {
    await callVarlink(recordPaths(root).socket, 'io.dnskeeper.records.Take', {}, { deadlineMs: TAKEN_MS });
  } catch (error) {
    // The record is stored, and dnskeeperd watches the folder: nothing is lost, so this is no failure.
    const isDown = error instanceof DnskeeperError && error.code === 'NOT_RUNNING';
    const why = isDown
      ? 'dnskeeperd does not run; this waits for its start'
      : `not in force yet: ${printable(messageOf(error), 300)}`;
    tell(`resolvconf: ${why}\n`);
  }
  return exit;
}

async function standardInput(): Promise<Buffer> {
  // Node.js takes one for an empty file.
  if (fstatSync(0).isDirectory())
    throw new DnskeeperError('IO', 'wanted resolv.conf(5) text on standard input, got a folder');
  const pieces: Buffer[] = [];
  let length = 0;
  const late = setTimeout(() => {
    process.stdin.destroy(
      new DnskeeperError('DEADLINE', `wanted the end of standard input within ${INPUT_MS / 1000} s`),
    );
  }, INPUT_MS);
  try {
    for await (const piece of process.stdin as AsyncIterable<Buffer>) {
      pieces.push(piece);
      length += piece.length;
      if (length > MOST_RECORD_BYTES) break;
    }
  } catch (error) {
    if (error instanceof DnskeeperError) throw error;
    const code = systemCodeOf(error) ?? messageOf(error);
    throw new DnskeeperError('IO', `wanted resolv.conf(5) text on standard input, got ${code}`, error);
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(pieces);
}

/** Without records no server is another's, so one on this machine is as good as any. */
function ownRules(rules: ResolvconfRules): ResolvconfRules {
  const standard = rules.localServers.join(' ') === DEFAULT_RULES.localServers.join(' ');
  return standard ? { ...rules, localServers: [] } : rules;
}

/** -r restarts a service if it runs; -R prints how. */
async function restart(command: 'r' | 'R', [service = '']: readonly string[]): Promise<number> {
  const { existsSync } = await import('node:fs');
  if (!existsSync('/run/systemd/system'))
    return complain('wanted systemd to restart services with, got another init');
  if (command === 'R')
    return say('if systemctl --quiet is-active $1.service\nthen\n\tsystemctl restart $1.service\nfi\n');
  if (!/^[A-Za-z0-9@_.:][A-Za-z0-9@_.:-]{0,200}$/.test(service))
    return complain(`wanted a service, got "${printable(service, 60)}"`);
  const { spawnSync } = await import('node:child_process');
  const systemctl = (...words: readonly string[]): number | null =>
    spawnSync('systemctl', [...words, `${service}.service`], { stdio: 'ignore', timeout: 30_000 }).status;
  if (systemctl('--quiet', 'is-active') !== 0) return 0;
  return systemctl('restart') ?? 1;
}

function list({ text, complaint, exit }: Listing): number {
  if (complaint !== '') tell(complaint);
  print('resolvconf', text, 'latin1');
  return exit;
}

function say(text: string): number {
  print('resolvconf', text);
  return 0;
}

function complain(text: string): number {
  tell(`resolvconf: ${text}\n`);
  return 1;
}
