import { constants } from 'node:fs';
import { copyFile, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { isObject, nonEmptyText, parseJson, type JsonObject } from '../wire/json.ts';
import {
  type PastFault,
  type PastOutput,
  type PastPlace,
  type PastSession,
  reasonOf,
} from './past-session.ts';

/** Rows read before others get their turn. */
const sliceRows = 64;

/** How long a locked database is waited for, milliseconds. */
const busyMs = 1_000;

/** Larger files of one part are left out, bytes. */
const maxPartBytes = 32 * 1024 * 1024;

/**
 * OpenCode's history in its folder: a database since 1.2, single files before; a conversation that
 * is in both is taken from the database.
 */
export async function* openCodeHistory({
  folder,
  signal,
}: PastPlace): AsyncGenerator<PastSession | PastFault, void, void> {
  const names = (await readdir(folder)).sort();
  const databases = names.filter((name) => /^opencode(?:-[\w.]+)?\.db$/.test(name));
  const known = new Set<string>();
  for (const name of databases) {
    const path = join(folder, name);
    try {
      await using opened = await openDatabase(path);
      for await (const session of sessionsIn(opened.database, signal)) {
        known.add(session.chatId);
        yield session;
      }
    } catch (error) {
      if (signal.aborted) throw error;
      yield { place: path, reason: `it cannot be read as OpenCode's database: ${reasonOf(error)}` };
    }
  }
  const storage = join(folder, 'storage');
  if (names.includes('storage') && (await listOf(storage)).includes('session'))
    yield* sessionsInFiles(storage, known, signal);
  else if (databases.length === 0)
    yield {
      place: folder,
      reason: 'there is neither a database of OpenCode nor its older storage',
    };
}

/** An open database, and what is to be put away with it. */
interface Opened extends AsyncDisposable {
  readonly database: DatabaseSync;
}

/**
 * Opens a database without changing anything beside it. Where OpenCode runs, or has ended without
 * tidying up, the newest rows are in the file beside it whose name ends in `-wal`.
 */
async function openDatabase(path: string): Promise<Opened> {
  const { DatabaseSync: Database } = await import('node:sqlite');
  const here = new Set(await readdir(join(path, '..')));
  const [wal, shm] = ['-wal', '-shm'].map((end) => here.has(`${basename(path)}${end}`));
  // A link could lead to any file.
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  if (!(await file.stat()).isFile()) throw new Error('it is no file');
  if (wal === true && shm !== true) {
    const copy = await mkdtemp(join(tmpdir(), 'rlm-opencode-'));
    const copied = join(copy, 'copy.db');
    await copyFile(path, copied);
    await copyFile(`${path}-wal`, `${copied}-wal`);
    const database = new Database(copied);
    return {
      database,
      [Symbol.asyncDispose]: async () => {
        database.close();
        await rm(copy, { recursive: true, force: true });
      },
    };
  }
  const url = pathToFileURL(path);
  // Whoever opens a database at rest in the usual way leaves two files beside it.
  if (wal !== true) url.search = '?immutable=1';
  const database = new Database(url, { readOnly: true, timeout: busyMs });
  return { database, [Symbol.asyncDispose]: async () => database.close() };
}

async function* sessionsIn(
  database: DatabaseSync,
  signal: AbortSignal,
): AsyncGenerator<PastSession, void, void> {
  const rows = database
    .prepare('select id, directory from session order by time_created, id')
    .all();
  const parts = database.prepare(
    `select data, time_created from part
     where session_id = ? and instr(data, '"tool"') > 0 order by time_created, id`,
  );
  for (const { id, directory } of rows) {
    signal.throwIfAborted();
    const chatId = nonEmptyText(id);
    const place = nonEmptyText(directory);
    if (chatId === undefined || place === undefined) continue;
    yield {
      chatId,
      directory: place,
      async *outputs() {
        let damaged = 0;
        let row = 0;
        for (const { data, time_created: time } of parts.iterate(chatId)) {
          if ((row += 1) % sliceRows === 0) await setImmediate();
          signal.throwIfAborted();
          const part = parseJson(String(data));
          if (!isObject(part)) damaged += 1;
          else yield* outputIn(part, Number(time));
        }
        if (damaged > 0)
          yield {
            place: `session ${chatId}`,
            reason: `${damaged} of its parts are no JSON and were left out`,
          };
      },
    };
  }
}

function* outputIn(part: JsonObject, createdMs?: number): Generator<PastOutput> {
  const state = part['state'];
  if (part['type'] !== 'tool' || !isObject(state)) return;
  const callId = nonEmptyText(part['callID']);
  const text = nonEmptyText(state['output']) ?? nonEmptyText(state['error']);
  if (callId === undefined || text === undefined) return;
  const time = isObject(state['time']) ? Number(state['time']['start']) : NaN;
  yield {
    callId,
    tool: nonEmptyText(part['tool']) ?? 'tool',
    args: JSON.stringify(state['input'] ?? {}),
    timeMs: Number.isFinite(time) ? time : createdMs,
    text,
  };
}

/** Conversations of before 1.2, each message and each part of one in a file. */
async function* sessionsInFiles(
  storage: string,
  known: ReadonlySet<string>,
  signal: AbortSignal,
): AsyncGenerator<PastSession | PastFault, void, void> {
  for (const project of await listOf(join(storage, 'session')))
    for (const name of await listOf(join(storage, 'session', project))) {
      signal.throwIfAborted();
      const path = join(storage, 'session', project, name);
      const session = await jsonFile(path);
      if ('reason' in session) {
        yield { place: path, reason: String(session['reason']) };
        continue;
      }
      const chatId = nonEmptyText(session['id']);
      const directory = nonEmptyText(session['directory']);
      if (chatId === undefined || directory === undefined || known.has(chatId)) continue;
      yield { chatId, directory, outputs: () => outputsInFiles(storage, chatId, signal) };
    }
}

async function* outputsInFiles(
  storage: string,
  chatId: string,
  signal: AbortSignal,
): AsyncGenerator<PastOutput | PastFault, void, void> {
  for (const message of await listOf(join(storage, 'message', chatId))) {
    const parts = join(storage, 'part', basename(message, '.json'));
    for (const name of await listOf(parts)) {
      signal.throwIfAborted();
      const part = await jsonFile(join(parts, name));
      if ('reason' in part) yield { place: join(parts, name), reason: String(part['reason']) };
      else yield* outputIn(part);
    }
  }
}

/** The names in a folder, in order; none where there is no such folder. */
async function listOf(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch {
    // A conversation without messages, a message without parts.
    return [];
  }
}

/** A file's JSON object, or the reason why there is none. */
async function jsonFile(path: string): Promise<JsonObject> {
  try {
    await using file = await open(
      path,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const facts = await file.stat();
    if (!facts.isFile()) return { reason: 'it is no file' };
    if (facts.size > maxPartBytes)
      return { reason: `it has ${Math.ceil(facts.size / 1e6)} MB and was left out` };
    const value = parseJson(await file.readFile('utf8'));
    return isObject(value) && !('reason' in value) ? value : { reason: 'it is no JSON' };
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}
