import { appendFile, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deepEqual, equal } from 'node:assert/strict';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { initSharedStore } from '../../src/shared/database/init.ts';
import { openSharedSessions } from '../../src/shared/shared-sessions.ts';
import { openSessions, type SessionsOptions } from '../../src/store/sessions.ts';
import type { Entry, Session, Sessions } from '../../src/store/types.ts';
import { heldFiles, type HeldFiles } from '../faults/held-files.ts';
import { temporaryData } from '../faults/store-harness.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts';
import { anyText } from '../support/any-text.ts';

/**
 * Every kind of text that has ever broken a store: all scripts, lone surrogates, CRLF, empty, long
 * lines, many lines.
 */
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) },
  { weight: 3, arbitrary: anyText({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
      .map((units) => String.fromCharCode(...units)),
  },
  { weight: 1, arbitrary: fc.constantFrom('', '\n', '\r\n', 'same', 'same\n', '\ufeffBOM') },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('x', 'né', '日本', '🙂\r\n', 'line\n', '\r'), fc.nat(20_000))
      .map(([unit, count]) => unit.repeat(count)),
  },
);

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      texts: fc.array(text, { maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('stream' as const),
      text,
      pieceBytes: fc.integer({ min: 1, max: 5000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('reopen' as const),
      keepCache: fc.boolean(),
      held: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      keepCache: fc.boolean(),
      held: fc.integer({ min: 1, max: 5 }),
      strayText: fc.nat(100_000),
      strayJournal: fc.string({ unit: 'grapheme-ascii', maxLength: 60 }),
    }),
  },
);
const place = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(90_000));

/** The store and what it ought to be: a list of distinct texts. */
class Pair {
  readonly #root: string;
  readonly #openStores: OpenStores;
  #generation = 0;
  #sessions: Sessions | undefined;
  #session: Session | undefined;
  readonly #abandoned: Sessions[] = [];
  /** Keeps the block table from being made anew, until {@link release}. */
  readonly #held: HeldFiles[] = [];
  readonly texts: string[] = [];

  constructor(root: string, openStores: OpenStores) {
    this.#root = root;
    this.#openStores = openStores;
  }

  get session(): Session {
    return this.#session!;
  }

  /** `held`: the reading of the text before which the making of the block table stops. */
  async open(held = Infinity): Promise<void> {
    const holding = heldFiles(held);
    this.#held.push(holding);
    this.#sessions = await this.#openStores({
      files: holding.files,
      dataDir: this.#dataDir(),
      clock: new ManualClock(),
      ids: randomIds,
      log: silentLogger(),
      // A text in a file of its own moves to its place behind the table: where that is held, who
      // stores it would wait.
      ...(held === Infinity ? { heldTextBytes: 1_000 } : {}),
    });
    const project = this.#root;
    const session = await this.#sessions.forDirectory('/project', { create: true, project });
    this.#session = session!;
    await Promise.race([holding.reached, this.#session.store.snapshot()]);
    holding.disarm();
  }

  async run(action: typeof step extends fc.Arbitrary<infer Step> ? Step : never): Promise<void> {
    const { store } = this.session;
    if (action.do === 'append') {
      this.#expectEntries(
        action.texts,
        await store.append(action.texts.map((text) => ({ text, kind: 'tool_result' }))),
      );
    } else if (action.do === 'again' && this.texts.length > 0) {
      const known = this.texts[action.pick % this.texts.length]!;
      this.#expectEntries([known], await store.append([{ text: known, kind: 'file' }]));
    } else if (action.do === 'stream') {
      const whole = action.text.toWellFormed();
      const chunks = pieces(Buffer.from(whole), action.pieceBytes);
      this.#expectEntries([whole], [await store.appendStream({ kind: 'file', chunks })]);
    } else if (action.do === 'reopen') {
      this.#release();
      await this.#sessions![Symbol.asyncDispose]();
      if (!action.keepCache) await rm(store.indexDir, { recursive: true });
      await this.open(action.keepCache ? Infinity : action.held);
    } else if (action.do === 'crash') {
      await this.#crash(action);
    }
  }

  /**
   * What a killed process leaves: the files as they are, with the beginning of something
   * uncommitted behind them.
   */
  async #crash(action: {
    readonly keepCache: boolean;
    readonly held: number;
    readonly strayText: number;
    readonly strayJournal: string;
  }): Promise<void> {
    const from = this.#dataDir();
    this.#abandoned.push(this.#sessions!);
    this.#generation += 1;
    const to = this.#dataDir();
    await cp(from, to, { recursive: true });
    await rm(join(to, 'owner.json'));
    const base = join(to, 'sessions', this.session.id);
    if (!action.keepCache) await rm(`${base}_index`, { recursive: true });
    await appendFile(`${base}_context.txt`, Buffer.alloc(action.strayText, 'stray\n'));
    await appendFile(`${base}_entries.jsonl`, action.strayJournal);
    await this.open(action.keepCache ? Infinity : action.held);
  }

  /** Everything the store can be asked, compared with the plain way. */
  async check(places: readonly (readonly [number, number])[]): Promise<void> {
    const { store } = this.session;
    equal(store.entries.length, this.texts.length);
    for (const [at, entry] of store.entries.entries()) {
      equal(await store.readEntry(entry), this.texts[at]!.toWellFormed());
      const slice = await store.read(entry.offsetChars, entry.lengthChars);
      equal(slice.text, this.texts[at]!.toWellFormed());
      equal(await this.#original(entry), this.texts[at]!);
    }
    const whole = this.texts
      .map((text) => (text.endsWith('\n') ? text : `${text}\n`).toWellFormed())
      .join('');
    const chars = Array.from(whole);
    const lines = whole.split(/(?<=\n)/).filter((line) => line !== '');
    deepEqual([store.totals.chars, store.totals.lines], [chars.length, lines.length]);
    for (const [where, length] of places) {
      const offset = Math.floor(where * (chars.length + 2));
      const slice = await store.read(offset, length);
      equal(Buffer.from(await store.readBytes(offset, length)).toString(), slice.text);
      equal(slice.text, chars.slice(offset, offset + length).join(''));
      equal(slice.lengthChars, Array.from(slice.text).length);
      const first = 1 + Math.floor(where * (lines.length + 1));
      const shown = await store.readLines(first, first + (length % 50));
      equal(shown.text, lines.slice(first - 1, first + (length % 50)).join(''));
      equal((await store.read(shown.offsetChars, shown.lengthChars)).text, shown.text);
    }
    deepEqual(await store.verify(), []);
  }

  /** The same questions again once the block table is there. */
  async checkWhole(places: readonly (readonly [number, number])[]): Promise<void> {
    this.#release();
    const { totals, blocks } = await this.session.store.snapshot();
    const last = Math.max(0, blocks.count - 1);
    equal(totals.bytes - blocks.byteStart[last]! <= 32_768, true);
    await this.check(places);
  }

  async close(): Promise<void> {
    this.#release();
    await this.#sessions?.[Symbol.asyncDispose]();
    for (const sessions of this.#abandoned) await sessions[Symbol.asyncDispose]();
  }

  #release(): void {
    for (const held of this.#held) held.release();
  }

  async #original(entry: Entry): Promise<string> {
    const parts = [];
    for await (const piece of this.session.store.readOriginal(entry)) parts.push(piece);
    return Buffer.concat(parts).toString(
      entry.original?.encoding === 'utf-16le' ? 'utf16le' : 'utf8',
    );
  }

  #expectEntries(texts: readonly string[], entries: readonly Entry[]): void {
    for (const text of texts) if (!this.texts.includes(text)) this.texts.push(text);
    deepEqual(
      entries.map((entry) => entry.seq),
      texts.map((text) => this.texts.indexOf(text) + 1),
    );
  }

  #dataDir(): string {
    return join(this.#root, `generation-${this.#generation}`);
  }
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Opens one kind of stores. */
type OpenStores = (options: SessionsOptions) => Promise<Sessions>;

/** The database of the shared stores, made when the first is opened. */
let database: Promise<TestPostgres> | undefined;

async function openShared(options: SessionsOptions): Promise<Sessions> {
  database ??= startPostgres().then(async (started) => {
    await initSharedStore(started.url(), { log: silentLogger(), clock: new ManualClock() });
    return started;
  });
  const url = (await database).url();
  return openSharedSessions({ ...options, url, waitMs: 60_000, spoolBytes: 2 ** 20 });
}

afterAll(async () => {
  await (await database)?.[Symbol.asyncDispose]();
});

const kinds: readonly {
  readonly kind: string;
  readonly open: OpenStores;
  readonly share: number;
}[] = [
  { kind: 'the store', open: openSessions, share: 1 },
  ...(noPostgres === undefined
    ? [{ kind: 'a store that machines share', open: openShared, share: 0.1 }]
    : []),
];

describe.each(kinds)('$kind', ({ open, share }) => {
  test('is a list of distinct texts, whatever happens to it', async () => {
    await using data = await temporaryData();
    let run = 0;
    const checked = fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 8 }),
        fc.array(place, { minLength: 1, maxLength: 5 }),
        async (steps, places) => {
          run += 1;
          const root = join(data.dataDir, `run-${run}`);
          await mkdir(root);
          const pair = new Pair(root, open);
          try {
            await pair.open();
            for (const action of steps) await pair.run(action);
            await pair.check(places);
            await pair.checkWhole(places);
          } finally {
            await pair.close();
            await rm(root, { recursive: true });
          }
        },
      ),
      { numRuns: Math.ceil(Number(process.env['RLM_STORE_RUNS'] ?? 100) * share) },
    );
    await expect(checked).resolves.toBeUndefined();
  }, 600_000);
});

test.skipIf(noPostgres !== undefined)(
  'a search over a replica that grows answers as over a store of this machine',
  async () => {
    await using data = await temporaryData();
    await using engine = openSearchEngine({ clock: systemClock, workers: 1 });
    const options = (name: string): SessionsOptions => ({
      dataDir: join(data.dataDir, name),
      clock: new ManualClock(),
      ids: randomIds,
      log: silentLogger(),
    });
    await using local = await openSessions(options('local'));
    await using writer = await openShared(options('writer'));
    await using reader = await openShared(options('reader'));
    const project = data.dataDir;
    const storeOf = async (sessions: Sessions): Promise<Session> => {
      sessions.arriving?.();
      return (await sessions.forDirectory('/project', { create: true, project }))!;
    };
    const texts = fc.sample(fc.array(text, { minLength: 1, maxLength: 6 }), 12);
    for (const [round, group] of texts.entries()) {
      const entries = group.map((each) => ({ text: each, kind: 'tool_result' as const }));
      await (await storeOf(local)).store.append(entries);
      // Two machines write in turn; it is looked at where the texts came over the log.
      const [from, to] = round % 2 === 0 ? [writer, reader] : [reader, writer];
      await (await storeOf(from)).store.append(entries);
      const corpora = [await storeOf(local), await storeOf(to)];
      for (const pattern of ['x', 'né.?', '日|\\r', '^line$', 'same', '[🙂]', 'none of this']) {
        const answers = [];
        for (const { store } of corpora) {
          const query = {
            pattern,
            literal: false,
            caseSensitive: true,
            contextLines: 1,
            maxLineChars: 200,
          };
          answers.push(
            await engine.search(
              await store.snapshot(),
              { ...query, maxResults: 50, order: round % 2 === 0 ? 'newest' : 'oldest' },
              { deadlineMs: 60_000, signal: new AbortController().signal },
            ),
          );
        }
        expect([round, pattern, answers[1]]).toEqual([round, pattern, answers[0]]);
      }
    }
  },
  120_000,
);
