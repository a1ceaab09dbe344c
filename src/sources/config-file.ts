import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, type ConfigDocument, readConfig } from '../core/config.ts';
import { messageOf, systemCodeOf } from '../core/errors.ts';
import type { ConfigProblem, Finding } from '../core/status.ts';
import { TaskQueue } from '../core/task-queue.ts';
import { compareText } from '../core/text.ts';
import type { Files } from '../system/files.ts';
import type { Paths } from '../system/paths.ts';
import { readToml } from '../system/toml.ts';
import { loadEarlierConf } from './earlier-conf.ts';
import { loadResolvedConf } from './resolved-conf.ts';

const MAX_BYTES = 256 * 1024;
const MAX_FILES = 256;

/** What the files on disk say, and what is wrong with them. */
export interface Loaded {
  /** What is right in them, over the defaults. */
  readonly config: Config;
  readonly files: readonly string[];
  readonly problems: readonly ConfigProblem[];
  /** With problems only: no files were good since the start, so there is no last good configuration. */
  readonly neverGood?: boolean;
  /** What is to be told of systemd-resolved's configuration; it stops nothing. */
  readonly remarks: readonly Finding[];
  /** A file that counts too and that others write: what /etc/resolv.conf led to before us. */
  readonly followed?: string;
}

/** A local drop-in that is tried out before it is one. */
export interface TriedFile {
  /** Name within the folder of local drop-ins. */
  readonly name: string;
  readonly text: string;
}

/**
 * Read vendor drop-ins, the file and local drop-ins, later ones over earlier ones (dnskeeper.toml(5)), all of them over
 * what systemd-resolved's files say.
 */
export async function loadConfig(
  paths: Paths,
  files: Pick<Files, 'read' | 'look'>,
  tried?: TriedFile,
): Promise<Loaded> {
  const problems: ConfigProblem[] = [];
  const trial = tried === undefined ? undefined : join(paths.localConfigFolder, tried.name);
  const local = await dropIns(paths.localConfigFolder, problems);
  const names = [
    ...(await dropIns(paths.vendorConfigFolder, problems)),
    paths.configFile,
    ...(trial === undefined || local.includes(trial) ? local : [...local, trial].sort(compareText)),
  ];
  const documents: ConfigDocument[] = [];
  for (const name of names) {
    const read =
      name === trial && tried !== undefined ? parseTrial(name, tried.text) : await readDocument(name, files);
    if (read === undefined) continue;
    if ('values' in read) documents.push(read);
    else problems.push(read);
  }
  const resolved = await loadResolvedConf(paths.systemdFolders, files);
  const { settings: earlier, followed } = await loadEarlierConf(paths, files);
  const beneath = {
    ...earlier,
    // Domains of before belong to the servers of before.
    ...('fallback' in resolved.settings ? { fallbackSearch: [], fallbackIsEarlier: false } : {}),
    ...resolved.settings,
    from: { ...earlier.from, ...resolved.settings.from },
  };
  const result = readConfig(documents, beneath);
  const allProblems = [...problems, ...result.problems];
  return {
    config: result.config,
    files: [...resolved.files, ...documents.map((document) => document.file)],
    problems: allProblems,
    remarks: resolved.remarks,
    ...(followed === undefined ? {} : { followed }),
  };
}

/** The configuration in force: a bad set of files is told about and changes nothing. */
export class ConfigFiles {
  readonly #paths: Paths;
  readonly #files: Pick<Files, 'read' | 'look' | 'replace' | 'makeFolder'>;
  #current: Loaded;
  #tried: TriedFile | undefined;
  /** One after the other: an earlier one that took longer would bring back what has changed since. */
  readonly #readings = new TaskQueue();

  private constructor(
    paths: Paths,
    files: Pick<Files, 'read' | 'look' | 'replace' | 'makeFolder'>,
    current: Loaded,
  ) {
    this.#paths = paths;
    this.#files = files;
    this.#current = current;
  }

  /**
   * Read the files for the first time; with problems what is right in them is in force, for there is no last good one then,
   * and one slip in a drop-in is to undo neither `link.takeover = "never"` nor the servers of a machine without any others.
   */
  static async open(
    paths: Paths,
    files: Pick<Files, 'read' | 'look' | 'replace' | 'makeFolder'>,
  ): Promise<ConfigFiles> {
    const loaded = await loadConfig(paths, files);
    return new ConfigFiles(
      paths,
      files,
      loaded.problems.length === 0 ? loaded : { ...loaded, neverGood: true },
    );
  }

  get current(): Loaded {
    return this.#current;
  }

  reload(): Promise<Loaded> {
    return this.#readings.run(() => this.#reload());
  }

  try(tried: TriedFile | undefined): Promise<Loaded> {
    return this.#readings.run(() => this.#try(tried));
  }

  keepTried(): Promise<string | undefined> {
    return this.#readings.run(() => this.#keepTried());
  }

  async #reload(): Promise<Loaded> {
    const loaded = await loadConfig(this.#paths, this.#files, this.#tried);
    const { config, neverGood = false } = this.#current;
    if (loaded.problems.length === 0) this.#current = loaded;
    else this.#current = neverGood ? { ...loaded, neverGood } : { ...loaded, config };
    return this.#current;
  }

  async #try(tried: TriedFile | undefined): Promise<Loaded> {
    const before = this.#tried;
    const loaded = await loadConfig(this.#paths, this.#files, tried);
    if (loaded.problems.length > 0 && tried !== undefined) return loaded;
    this.#tried = tried;
    if (before === undefined && tried === undefined) return this.#current;
    return this.#reload();
  }

  async #keepTried(): Promise<string | undefined> {
    const tried = this.#tried;
    if (tried === undefined) return undefined;
    const file = join(this.#paths.localConfigFolder, tried.name);
    await this.#files.makeFolder(this.#paths.localConfigFolder, 0o755);
    await this.#files.replace(file, Buffer.from(tried.text), { durable: true });
    this.#tried = undefined;
    await this.#reload();
    return file;
  }
}

async function dropIns(folder: string, problems: ConfigProblem[]): Promise<string[]> {
  try {
    const names = await readdir(folder);
    const files = names.filter((name) => name.endsWith('.toml') && !name.startsWith('.')).sort(compareText);
    return files.slice(0, MAX_FILES).map((name) => join(folder, name));
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT')
      problems.push({ file: folder, wanted: 'a readable folder', got: messageOf(error) });
    return [];
  }
}

async function readDocument(
  file: string,
  files: Pick<Files, 'read'>,
): Promise<ConfigDocument | ConfigProblem | undefined> {
  let bytes: Buffer | undefined;
  try {
    bytes = await files.read(file, MAX_BYTES);
  } catch (error) {
    // The message says itself what was wanted, with the path once more.
    const got = messageOf(error).replace(/^wanted .*, got /s, '');
    return { file, wanted: `a readable file of at most ${MAX_BYTES} bytes`, got };
  }
  if (bytes === undefined) return undefined;
  return parseDocument(file, bytes.toString('utf8'));
}

/** As bounded as the file that it becomes when it is kept. */
function parseTrial(file: string, text: string): ConfigDocument | ConfigProblem {
  const bytes = Buffer.byteLength(text);
  return bytes <= MAX_BYTES
    ? parseDocument(file, text)
    : { file, wanted: `at most ${MAX_BYTES} bytes`, got: `${bytes} bytes` };
}

function parseDocument(file: string, text: string): ConfigDocument | ConfigProblem {
  const toml = readToml(text);
  return 'values' in toml
    ? { file, text, values: toml.values }
    : { file, line: toml.problem.line, wanted: 'TOML', got: toml.problem.message };
}
