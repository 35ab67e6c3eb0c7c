import { afterAll, expect, test } from 'vitest';
import { CorpusText } from '../../src/bench/corpus-text.ts';
import { systemClock } from '../../src/clock.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import { TextFile } from '../../src/search/text/text-file.ts';
import type { SearchQuery, SearchResult } from '../../src/search/types.ts';
import { realFiles, type Files } from '../../src/store/disk/files.ts';
import type { Session, SessionStore } from '../../src/store/types.ts';
import { projectSession, temporaryData } from '../faults/store-harness.ts';

const engine = openSearchEngine({ clock: systemClock, workers: 1 });
afterAll(async () => engine[Symbol.asyncDispose]());

const { signal } = new AbortController();

async function search(store: SessionStore, pattern: string): Promise<SearchResult> {
  const query: SearchQuery = {
    pattern,
    literal: false,
    caseSensitive: true,
    maxResults: 50,
    contextLines: 0,
    order: 'newest',
    maxLineChars: 200,
  };
  return engine.search(await store.snapshot(), query, { signal, deadlineMs: 60_000 });
}

/** How many files a search of the store opens. */
async function filesOf(store: SessionStore): Promise<number> {
  using file = new TextFile((await store.snapshot()).spans);
  return new Set(file.identity.split(' ')).size;
}

/** The real file system, and what was written to texts. */
function countedTexts(): { readonly files: Files; bytes: number } {
  const counted = {
    bytes: 0,
    files: {
      ...realFiles,
      open: async (path: string, options: { readonly create: boolean }) => {
        const file = await realFiles.open(path, options);
        const write: typeof file.write = async (bytes, at) => {
          if (/_context\.txt|_incoming|_originals/.test(path)) counted.bytes += bytes.length;
          return file.write(bytes, at);
        };
        return { ...file, write };
      },
    },
  };
  return counted;
}

async function fill({ store }: Session, chars: number): Promise<void> {
  const corpus = new CorpusText(1);
  for (let at = 0; at < 8; at += 1) {
    let text = '';
    while (text.length < chars / 8) text += corpus.next();
    await store.append([{ text: `${text}\nplanted-${at} here\n`, kind: 'tool_result' }]);
  }
}

test('a branch writes no text, and its searches read the blocks that those of its base read', async () => {
  await using data = await temporaryData();
  const counted = countedTexts();
  await using sessions = await data.open({ files: counted.files });
  const base = await projectSession(sessions);
  await fill(base, 6_000_000);
  await engine.index(await base.store.snapshot(), signal, true);
  counted.bytes = 0;
  const branch = await sessions.branch(base.id);
  const second = await sessions.branch(branch.id);
  expect(counted.bytes).toBe(0);
  await branch.store.append([{ text: 'of the branch\n', kind: 'user_text' }]);
  const third = await sessions.branch(branch.id);
  expect(counted.bytes).toBe('of the branch\n'.length);
  // One more for each base that has a text; the second branch had none of its own to be read.
  const stores = [base, branch, second, third].map(({ store }) => store);
  expect(await Promise.all(stores.map(filesOf))).toEqual([1, 2, 2, 3]);
  // So that reading all of it could not be what they have in common.
  expect((await search(base.store, 'planted-3')).work.blocksRead).toBeLessThan(20);
  for (const pattern of ['planted-3', 'planted-\\d here', 'zzzz(?=q)', 'ERROR.*timeout']) {
    const wanted = await search(base.store, pattern);
    for (const [at, { store }] of [branch, second, third].entries()) {
      const { work, total, matches } = await search(store, pattern);
      expect([total, matches]).toEqual([wanted.total, wanted.matches]);
      // The few characters of its own lie in the last block, or in one more.
      const more = at === 1 ? 0 : 1;
      expect(work.blocksRead).toBeGreaterThanOrEqual(wanted.work.blocksRead);
      expect(work.blocksRead).toBeLessThanOrEqual(wanted.work.blocksRead + more);
      expect(work.blocksTotal).toBeLessThanOrEqual(wanted.work.blocksTotal + more);
      expect(work.indexed).toBe(wanted.work.indexed);
    }
  }
});
