import { expect, test } from 'vitest';
import { projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import { realFiles, type Files } from '../disk/files.ts';
import { EntryIndex } from '../text/entry-index.ts';
import type { NewEntry, SessionStore } from '../types.ts';
import { PastViews } from './past-views.ts';

/** The real file system, and how many bytes of journals were read through it. */
function countedJournals(): { readonly files: Files; readBytes: number } {
  const counted = {
    readBytes: 0,
    files: {
      ...realFiles,
      open: async (path: string, options: { readonly create: boolean }) => {
        const file = await realFiles.open(path, options);
        const read: typeof file.read = async (bytes, at) => {
          const count = await file.read(bytes, at);
          if (path.endsWith('_entries.jsonl')) counted.readBytes += count;
          return count;
        };
        return { ...file, read };
      },
    },
  };
  return counted;
}

function textsOf(store: SessionStore): Promise<readonly string[]> {
  return Promise.all(store.entries.map(async (entry) => store.readEntry(entry)));
}

const numbered = (count: number): readonly NewEntry[] =>
  Array.from({ length: count }, (_, n) => ({ text: `text ${n}\n`, kind: 'file', path: `/p/${n}` }));

test('a second question at a moment reads no journal, whichever way the moment is named', async () => {
  await using data = await temporaryData();
  const counted = countedJournals();
  await using sessions = await data.open({ files: counted.files });
  const { id, store } = await projectSession(sessions);
  const [first, ...later] = numbered(300);
  await store.append([first!]);
  data.clock.advance(1_000);
  const { ranges } = await sessions.nameMoment(id, 'one');
  const timeMs = data.clock.now();
  data.clock.advance(1_000);
  await store.append(later);
  counted.readBytes = 0;
  expect(await textsOf(await store.at({ seq: 1 }))).toEqual(['text 0\n']);
  expect(counted.readBytes).toBeGreaterThan(0);
  counted.readBytes = 0;
  // Two times between which nothing came are one moment.
  for (const moment of [{ seq: 1 }, { timeMs }, { timeMs: timeMs + 500 }, { ranges }])
    expect(await textsOf(await store.at(moment))).toEqual(['text 0\n']);
  // Side by side, the journal is read once.
  expect(counted.readBytes).toBe(0);
  const both = await Promise.all([store.at({ seq: 200 }), store.at({ seq: 200 })]);
  expect(both.map(({ entries }) => entries.length)).toEqual([200, 200]);
  const once = counted.readBytes;
  counted.readBytes = 0;
  await store.at({ seq: 201 });
  expect(counted.readBytes).toBe(once);
  // What is kept is not of a later moment, and does not grow.
  await store.append([{ text: 'again\n', kind: 'file' }]);
  expect((await store.at({ seq: 200 })).totals.entries).toBe(200);
  expect(both[0].totals.entries).toBe(200);
});

test('what was forgotten since is gone from a view that was kept', async () => {
  await using data = await temporaryData();
  await using sessions = await data.open();
  const { id, store } = await projectSession(sessions);
  await store.append(numbered(3));
  await store.append([{ text: 'later\n', kind: 'file' }]);
  expect(await textsOf(await store.at({ seq: 3 }))).toHaveLength(3);
  await sessions.forget(id, { whole: [2], why: 'asked', mayComeAgain: false });
  const past = await store.at({ seq: 3 });
  expect(past.entries.map(({ forgotten }) => forgotten?.why)).toEqual([
    undefined,
    'asked',
    undefined,
  ]);
  expect(past.list.pathsOf(past.entries[1]!)).toEqual([]);
  await expect(past.readEntry(past.entries[1]!)).rejects.toThrow('was forgotten');
});

test('views are kept up to a bound, those that were used last', async () => {
  const views = new PastViews(43_000);
  const [one, other] = [{}, {}];
  let made = 0;
  const ask = async (owner: object, records: number): Promise<number> => {
    const before = made;
    await views.of(owner, records, async () => {
      made += 1;
      return new EntryIndex();
    });
    return made - before;
  };
  expect([await ask(one, 60), await ask(other, 60), await ask(one, 60)]).toEqual([1, 1, 0]);
  // No room for three of them: what was used the longest ago goes.
  expect([await ask(one, 61), await ask(one, 60), await ask(other, 60)]).toEqual([1, 0, 1]);
  // One that is larger than all of the room is made, and not kept.
  expect([await ask(one, 1_000), await ask(one, 1_000)]).toEqual([1, 1]);
  expect(await ask(one, 5)).toBe(1);
  views.forget(one);
  expect(await ask(one, 5)).toBe(1);
  await expect(views.of(one, 7, async () => Promise.reject(new Error('gone')))).rejects.toThrow(
    'gone',
  );
  expect(await ask(one, 7)).toBe(1);
});
