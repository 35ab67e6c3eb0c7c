import { createReadStream, existsSync } from 'node:fs';
import { link, open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { countOf } from '../../base/numbers.ts';
import { unreadableReason } from '../../base/system-words.ts';
import { ProxyError } from '../../errors.ts';
import type { ExportProgress } from '../../operations/archive.ts';
import { isSessionId } from '../../store/disk/session-paths.ts';
import type { ArchiveProgress, ExportReport, ImportReport } from '../../store/types.ts';
import { addDataDirFlag, dataDirOf } from '../data-dir-flag.ts';
import { examples } from '../examples.ts';
import { size } from '../numbers.ts';
import { withOperations } from '../operations-client.ts';
import { ProgressLine } from '../progress-line.ts';
import { exitCodes, finish } from '../run.ts';
import { jsonText, print, printBytes, printError, printJson } from '../screen.ts';
import { projectOf } from '../session-flags.ts';
import { keepStdin, type PassingFile, passingFile } from '../standard-input.ts';
import { shortPath } from '../start-text.ts';

interface ExportFlags {
  readonly out?: string;
  readonly all?: boolean;
  readonly json?: boolean;
  readonly dataDir?: string;
}

/** `rlm-opencode sessions export`: stores as one archive. */
export function exportCommand(): Command {
  const command = new Command('export')
    .description('take a store out, as one file that `sessions import` reads')
    .argument('[store]', 'a directory or a session id (default: the project here)')
    .option(
      '--out <file>',
      'where to, - for standard output (default: named by the store and the day)',
    )
    .option('--all', 'every store there is')
    .option('--json', 'JSON for machines')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode sessions export', 'the store of this project'],
        ['rlm-opencode sessions export --all --out all.tar.zst', 'every store'],
        ['rlm-opencode sessions export --out - | ssh host …', 'to another machine'],
      ),
    );
  return addDataDirFlag(command).action(exportStores);
}

interface ImportFlags {
  readonly as?: string;
  readonly map?: readonly DirectoryChange[];
  readonly unnamed?: boolean;
  readonly anySize?: boolean;
  readonly json?: boolean;
  readonly dataDir?: string;
}

interface DirectoryChange {
  readonly from: string;
  readonly to: string;
}

/** `rlm-opencode sessions import`: stores from an archive. */
export function importCommand(): Command {
  const command = new Command('import')
    .description('bring in the stores of an archive; nothing that is here is overwritten')
    .argument('<file>', 'what `sessions export` wrote, - for standard input')
    .option('--as <dir>', 'the directory that the store gets here')
    .option(
      '--map <old=new>',
      'a directory that is called otherwise here, and what lies below it; may be repeated',
      addChange,
    )
    .option('--unnamed', 'where a directory has a store already: import beside it, without one')
    .option('--any-size', 'also an archive that unpacks to more than 1,000 times its size')
    .option('--json', 'JSON for machines')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode sessions import api.tar.zst', 'into the directory it had'],
        ['rlm-opencode sessions import api.tar.zst --as ~/src/api', 'into another'],
        ['rlm-opencode sessions import all.tar.zst --map /home/a=/home/b', 'all of them'],
      ),
    );
  return addDataDirFlag(command).action(importStores);
}

function addChange(
  text: string,
  before: readonly DirectoryChange[] = [],
): readonly DirectoryChange[] {
  const at = text.indexOf('=', 1);
  if (at < 1 || at === text.length - 1) {
    throw new ProxyError('invalid_request', `--map takes OLD=NEW, not ${JSON.stringify(text)}.`, {
      hint: 'For example --map /home/anna/src=/home/ben/src.',
    });
  }
  return [...before, { from: text.slice(0, at), to: resolve(text.slice(at + 1)) }];
}

async function exportStores(store: string | undefined, flags: ExportFlags): Promise<void> {
  if (store !== undefined && flags.all === true) {
    throw new ProxyError('invalid_request', `--all is every store: ${store} says nothing then.`);
  }
  const line = new ProgressLine();
  await using out = targetOf(flags.out ?? defaultName(store, flags.all === true));
  await withOperations(flags, async (call) => {
    const report = (await call('export', choiceOf(store, flags), async (said) => {
      const progress = said as ExportProgress;
      showProgress(line, progress);
      if (progress.archive !== undefined) await out.write(Buffer.from(progress.archive, 'base64'));
    })) as ExportReport | null;
    line.clear();
    if (report === null) {
      printError(
        flags.all === true
          ? 'Nothing is stored yet.\n'
          : `Nothing is stored for ${store ?? 'this directory'} yet.\n`,
      );
      finish(exitCodes.nothing);
      return;
    }
    await out.finish();
    const text =
      flags.json === true
        ? `${jsonText({ file: out.path ?? '-', ...report }, 2)}\n`
        : exportText(report, out.path);
    // On standard output there is the archive.
    if (out.path === undefined) printError(text);
    else print(text);
  });
}

function choiceOf(store: string | undefined, { all = false }: ExportFlags): object {
  if (all) return { all };
  if (store !== undefined && isSessionId(store)) return { session: store };
  return { directory: projectOf({ directory: store }), climb: store === undefined };
}

function defaultName(store: string | undefined, all: boolean): string {
  const day = new Date().toISOString().slice(0, 10);
  const name =
    store !== undefined && isSessionId(store) ? store : basename(projectOf({ directory: store }));
  return `${all || name === '' ? 'rlm-opencode' : name}-${day}.tar.zst`;
}

/** Where an archive is written to. */
interface Target extends AsyncDisposable {
  /** Absent for standard output. */
  readonly path?: string;
  write(bytes: Buffer): Promise<void>;
  /** All of it is there: from here on under its name, and on the disk. */
  finish(): Promise<void>;
}

function targetOf(out: string): Target {
  if (out !== '-') return new TargetFile(resolve(out));
  if (process.stdout.isTTY) {
    throw new ProxyError('invalid_request', 'An archive is nothing for a terminal.', {
      hint: 'Name a file with --out, or lead it on with | or >.',
    });
  }
  return {
    write: printBytes,
    finish: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** A file that has its name only when it is whole; only its owner reads it. */
class TargetFile implements Target {
  readonly path: string;
  readonly #part: PassingFile;
  #file: FileHandle | undefined;

  /** @throws ProxyError `invalid_request` where there is something of that name */
  constructor(path: string) {
    if (existsSync(path)) throw isThere(path);
    this.path = path;
    this.#part = passingFile(`${path}.${process.pid}.part`);
  }

  async write(bytes: Buffer): Promise<void> {
    try {
      this.#file ??= await open(this.#part.path, 'wx', 0o600);
      await this.#file.writeFile(bytes);
    } catch (error) {
      throw notWritten(this.path, error);
    }
  }

  async finish(): Promise<void> {
    try {
      await this.#file?.sync();
      await link(this.#part.path, this.path);
      const folder = await open(dirname(this.path), 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (error) {
      throw notWritten(this.path, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
    this.#part[Symbol.dispose]();
  }
}

function isThere(path: string): ProxyError {
  return new ProxyError('invalid_request', `${path} is there already; nothing was exported.`, {
    hint: 'Delete it, or name another file with --out.',
  });
}

function notWritten(path: string, cause: unknown): ProxyError {
  const { code = String(cause) } = Object(cause) as { readonly code?: string };
  if (code === 'EEXIST') return isThere(path);
  const isFull = ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code);
  return new ProxyError(
    isFull ? 'store_full' : 'invalid_request',
    isFull
      ? `There is no room for ${path} (${code}). Nothing of it is left.`
      : `${path} cannot be written: ${unreadableReason(cause)}. Nothing was exported.`,
    { cause, hint: 'Name another file with --out.' },
  );
}

function exportText({ sessions, textBytes, archiveBytes }: ExportReport, path?: string): string {
  const stores = sessions.filter(({ role }) => role === 'store');
  const bases = sessions.length - stores.length;
  const entries = stores.reduce((sum, { entries: own }) => sum + own, 0);
  const [{ directory, session } = { directory: undefined, session: '' }] = stores;
  const whose =
    stores.length === 1
      ? `the store of ${directory === undefined ? session : shortPath(directory)}`
      : countOf(stores.length, 'store');
  const read = bases === 0 ? '' : `, with what it reads from ${countOf(bases, 'other')}`;
  const where = path === undefined ? '' : ` to ${shortPath(path)}`;
  return `Exported ${whose}${read}${where}: ${countOf(entries, 'entry', 'entries')}, ${size(textBytes)}, packed ${size(archiveBytes)}.\nIt holds all that tools have printed there, keys and passwords among it${path === undefined ? '' : '; only you can read the file'}.\n`;
}

async function importStores(file: string, flags: ImportFlags): Promise<void> {
  using standardInput = file === '-' ? await keepStdin(await dataDirOf(flags)) : undefined;
  const source = new SourceFile(standardInput?.path ?? file);
  await source.check();
  const line = new ProgressLine();
  const { as, map, unnamed, anySize } = flags;
  const args = {
    ...(as !== undefined && { as: projectOf({ directory: as }) }),
    ...(map !== undefined && { map }),
    ...(unnamed === true && { unnamed }),
    ...(anySize === true && { anySize }),
  };
  await withOperations(flags, async (call) => {
    try {
      const report = (await call('import', args, showing(line), source.pieces())) as ImportReport;
      line.clear();
      if (flags.json === true) printJson(report, 2);
      else print(importText(report));
    } catch (error) {
      line.clear();
      throw source.fault ?? error;
    }
  });
}

/** An archive that is read here, whoever imports it. */
class SourceFile {
  readonly #path: string;
  /** Why it could not be read to its end, if so. */
  fault: ProxyError | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws ProxyError `invalid_request` where there is no such file */
  async check(): Promise<void> {
    try {
      if (!(await stat(this.#path)).isDirectory()) return;
    } catch (error) {
      throw this.#unreadable(error);
    }
    throw new ProxyError('invalid_request', `${this.#path} is a folder, not an archive.`);
  }

  async *pieces(): AsyncGenerator<Uint8Array> {
    try {
      yield* createReadStream(this.#path) as AsyncIterable<Buffer>;
    } catch (error) {
      this.fault = this.#unreadable(error);
      throw this.fault;
    }
  }

  #unreadable(cause: unknown): ProxyError {
    const { code } = Object(cause) as { readonly code?: string };
    const why = code === 'ENOENT' ? 'is not there' : `cannot be read: ${unreadableReason(cause)}`;
    return new ProxyError('invalid_request', `${this.#path} ${why}.`, { cause });
  }
}

function importText({ sessions }: ImportReport): string {
  const lines = sessions
    .filter(({ role }) => role === 'store')
    .map(({ session, from, directory, entries }) => {
      const place =
        directory === undefined ? 'no directory: reach it with --session' : shortPath(directory);
      const was = from === session ? '' : ` (${from} in the archive)`;
      return `${session}${was}  ${countOf(entries, 'entry', 'entries')}\n  ${place}\n`;
    });
  return `Imported ${countOf(lines.length, 'store')}:\n${lines.join('')}`;
}

function showing(line: ProgressLine): (progress: unknown) => void {
  return (progress) => showProgress(line, progress as ArchiveProgress);
}

const words = { check: 'checking', pack: 'packing', unpack: 'unpacking' } as const;

function showProgress(line: ProgressLine, { doing, doneBytes, totalBytes }: ArchiveProgress): void {
  const share = totalBytes === 0 ? 1 : doneBytes / totalBytes;
  line.bar(share, `${words[doing]}  ${size(doneBytes)} of ${size(totalBytes)}`);
}
