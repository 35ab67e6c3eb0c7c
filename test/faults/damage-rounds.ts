import { deepEqual, ok } from 'node:assert/strict';
import { cp, open, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Random } from '../../src/bench/random.ts';
import { randomIds, systemClock } from '../../src/clock.ts';
import { ProxyError } from '../../src/errors.ts';
import { silentLogger } from '../../src/log.ts';
import type { Aggregate, SearchEngine, SearchResult } from '../../src/search/types.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Entry, Session, Sessions } from '../../src/store/types.ts';
import { query } from '../property/search-corpus.ts';
import { projectSession } from './store-harness.ts';

/**
 * Texts of many sizes, of one to four bytes a character, with words that are rare, frequent and
 * nowhere.
 */
function damageTexts(): readonly string[] {
  const random = new Random(7);
  const texts = Array.from({ length: 60 }, (_, number) => {
    const lines = Array.from({ length: 1 + random.below(40) }, (_line, at) => lineOf(number, at));
    return number % 3 === 0 ? lines.join('\n') : `${lines.join('\n')}\n`;
  });
  // Most of the text: more than the 2 MiB from which on there is an index.
  const large = Array.from({ length: 36_000 }, (_, at) => lineOf(1_000 + (at % 7), at)).join('\n');
  texts.splice(20, 0, large);
  texts.splice(40, 0, 'ü'.repeat(70_000), '', `${lineOf(77, 7)}\n`.repeat(900));
  return texts;
}

function lineOf(number: number, at: number): string {
  const rare = at % 1_499 === 7 ? ` needle${number % 10}` : '';
  return `${number}/${at} status=${at % 4} the 日本 line of é text 🙂${rare} ends here`;
}

const patterns = ['needle3', 'needle\\d ends', 'status=2 the .*needle', '/17 status', 'nowhere'];
const aggregates: readonly Aggregate[] = [
  { kind: 'count_by', group: 0, maxGroups: 10 },
  { kind: 'first_last', group: 0, maxGroups: 10 },
];

/** What a search is asked, and the whole of what it answers without damage. */
interface Asked {
  readonly pattern: string;
  readonly aggregate?: Aggregate;
}

const questions: readonly Asked[] = [
  ...patterns.map((pattern) => ({ pattern })),
  ...aggregates.map((aggregate) => ({ pattern: 'status=\\d the .*needle', aggregate })),
];

/** A store with its index, and its right answers. */
export interface SoundStore {
  readonly dataDir: string;
  readonly texts: readonly string[];
  readonly entries: readonly Entry[];
  readonly answers: readonly SearchResult[];
}

/** Makes the store whose copies are damaged. */
export async function makeSoundStore(dataDir: string, engine: SearchEngine): Promise<SoundStore> {
  await using sessions = await openStore(dataDir);
  const session = await projectSession(sessions);
  const texts = damageTexts();
  await session.store.append(texts.map((text) => ({ text, kind: 'tool_result' })));
  await session.memory.put([{ key: 'a', value: 'b' }]);
  await engine.index(await session.store.snapshot(), new AbortController().signal);
  const answers = [];
  for (const asked of questions) answers.push(await search(session, engine, asked));
  deepEqual(
    answers.filter(({ note }) => note !== undefined),
    [],
  );
  ok(answers[0]!.work.indexed);
  return { dataDir, texts, entries: [...session.store.entries], answers };
}

/** What a round of {@link damageRound} saw. */
export interface DamageRound {
  readonly file: string;
  /**
   * Answers that were the right ones, that said that they may not be, and questions that were
   * refused because of damage.
   */
  readonly exact: number;
  readonly said: number;
  readonly refused: number;
}

/**
 * Damages a copy of a store (one file at random: bits, pages of zeros, or both), before or after it
 * was opened, and asks all questions.
 * @throws where an answer is wrong without a word, shows what was not stored, or leaves out a hit
 * of a sound entry
 */
export async function damageRound(
  sound: SoundStore,
  copyDir: string,
  random: Random,
  engine: SearchEngine,
): Promise<DamageRound> {
  await rm(copyDir, { recursive: true, force: true });
  await cp(sound.dataDir, copyDir, { recursive: true, preserveTimestamps: true });
  const files = await filesIn(join(copyDir, 'sessions'));
  const file = files[random.below(files.length)]!;
  const seen = { file, exact: 0, said: 0, refused: 0 };
  const isOpenBefore = random.below(3) === 0;
  if (!isOpenBefore) await damageFile(file, random);
  try {
    await using sessions = await openStore(copyDir);
    const session = await projectSession(sessions);
    if (isOpenBefore) {
      await search(session, engine, questions[0]!);
      await damageFile(file, random);
    }
    const lost = await lostEntries(session, sound);
    for (const [at, asked] of questions.entries()) {
      if (at === 4) await engine.index(await session.store.snapshot(), AbortSignal.timeout(60_000));
      const outcome = await compare(session, engine, { asked, right: sound.answers[at]!, lost });
      seen[outcome] += 1;
    }
  } catch (error) {
    if (!(error instanceof ProxyError) || error.code !== 'store_corrupt') throw error;
    seen.refused += 1;
  }
  return seen;
}

/**
 * The entries whose bytes on the disk are not those that were stored, as a reader that trusts
 * nothing sees it.
 */
async function lostEntries(session: Session, { texts, entries }: SoundStore): Promise<Set<Entry>> {
  const lost = new Set<Entry>();
  await using file = await open(session.store.textPath, 'r');
  const bytes = await file.readFile();
  for (const [at, entry] of entries.entries()) {
    const end = entries[at + 1]?.offsetBytes ?? entry.offsetBytes + entry.lengthBytes;
    const own = bytes.subarray(entry.offsetBytes, end);
    const wanted = Buffer.from(texts[at]!);
    const isSound =
      own.subarray(0, wanted.length).equals(wanted) && separatorIn(own, wanted.length);
    if (!isSound) lost.add(entry);
  }
  return lost;
}

function separatorIn(span: Buffer, length: number): boolean {
  return span.length === length || span[length] === 10;
}

async function compare(
  session: Session,
  engine: SearchEngine,
  {
    asked,
    right,
    lost,
  }: { readonly asked: Asked; readonly right: SearchResult; readonly lost: ReadonlySet<Entry> },
): Promise<'exact' | 'said' | 'refused'> {
  let found: SearchResult;
  try {
    found = await search(session, engine, asked);
  } catch (error) {
    if (error instanceof ProxyError && error.code === 'store_corrupt') return 'refused';
    throw error;
  }
  // On a busy machine it may have run out of time, which it says.
  if (found.partial) return 'said';
  const says = found.note?.includes('Stored text is damaged') === true;
  if (!says) {
    deepEqual(contentOf(found), contentOf(right), `${asked.pattern}: wrong without a word`);
    return 'exact';
  }
  ok(lost.size > 0, 'says that text is damaged where none is');
  const shown = new Set(found.matches.map((match) => JSON.stringify(match)));
  const stored = new Set(right.matches.map((match) => JSON.stringify(match)));
  for (const match of shown) ok(stored.has(match), `shows ${match}, which was not stored so`);
  for (const match of right.matches) {
    const inLost = [...lost].some(
      ({ offsetBytes, lengthBytes }) =>
        match.offsetBytes >= offsetBytes && match.offsetBytes < offsetBytes + lengthBytes,
    );
    ok(inLost || shown.has(JSON.stringify(match)), `a sound hit is missing: ${match.text}`);
  }
  ok(found.total <= right.total, 'finds more than was stored');
  return 'said';
}

function contentOf({ work: _work, ...content }: SearchResult): Omit<SearchResult, 'work'> {
  return content;
}

async function search(
  session: Session,
  engine: SearchEngine,
  { pattern, aggregate }: Asked,
): Promise<SearchResult> {
  const asked = query(pattern, { maxResults: 1_000, ...(aggregate && { aggregate }) });
  const options = { signal: new AbortController().signal, deadlineMs: 60_000 };
  return engine.search(await session.store.snapshot(), asked, options);
}

async function openStore(dataDir: string): Promise<Sessions> {
  return openSessions({ dataDir, clock: systemClock, ids: randomIds, log: silentLogger() });
}

async function filesIn(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name))
    .sort();
}

/**
 * Flips bits, overwrites pages with zeros, or both. The time of change moves on by at least a tick
 * of the kernel.
 */
async function damageFile(path: string, random: Random): Promise<void> {
  const { size } = await stat(path);
  const kind = random.below(3);
  await using file = await open(path, 'r+');
  if (kind !== 1) {
    for (let count = 1 + random.below(6); count > 0; count -= 1) {
      const at = random.below(size);
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, at);
      byte[0]! ^= 1 << random.below(8);
      await file.write(byte, 0, 1, at);
    }
  }
  if (kind !== 0) {
    for (let count = 1 + random.below(4); count > 0; count -= 1) {
      const page = 4_096 * random.below(Math.ceil(size / 4_096));
      await file.write(Buffer.alloc(Math.min(4_096, size - page)), 0, undefined, page);
    }
  }
  const now = Date.now() / 1_000 + 1;
  await utimes(path, now, now);
}
