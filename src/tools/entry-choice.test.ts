import { expect, test } from 'vitest';
import { memorySession } from '../../test/support/memory-session.ts';
import { EntryListing } from '../store/text/entry-listing.ts';
import type { Entry, SessionStore } from '../store/types.ts';
import { chooseEntries, findEntry, type EntryFilter } from './entry-choice.ts';

const { store } = memorySession([
  { text: 'row one\n', path: '/home/me/proj/src/App.ts', tool: 'read' },
  { text: 'row two\n', path: '/home/me/proj/docs/a.md' },
  { text: 'row three\n', tool: 'bash' },
]);

function chosen(filter: EntryFilter, of: SessionStore = store): string | readonly string[] {
  const choice = chooseEntries(of, filter, 1_000_000);
  return choice.ok ? (choice.entries ?? []).map(({ id }) => id) : choice.fault;
}

test.each<[EntryFilter, readonly string[]]>([
  [{ path: '**/*.{ts,js}' }, ['e1']],
  [{ path: './src/App.ts' }, ['e1']],
  [{ tool: 'Read' }, ['e1']],
  [{ tool: 'BASH' }, ['e3']],
  [{ path: '*.ts', tool: 'read' }, ['e1']],
  [{ entry: 'e2' }, ['e2']],
  [{ entry: '2' }, ['e2']],
  [{ entry: 'docs/a.md' }, ['e2']],
  [{ since: '1970-01-01' }, ['e1', 'e2', 'e3']],
])('%j chooses %j', (filter, wanted) => {
  expect(chosen(filter)).toEqual(wanted);
});

test.each<[EntryFilter, RegExp]>([
  [
    { path: 'src/Nope.ts' },
    /^No entry has a path that fits "src\/Nope.ts"\. Nearest: "\/home\/me\/proj\/src\/App.ts"/,
  ],
  [{ tool: 'grep' }, /no.* output of a tool "grep"\. There are outputs of read \(1\), bash \(1\)/i],
  [
    { path: '*.ts', tool: 'bash' },
    /fits all filters at once: 1 fit tool "bash", 1 fit path "\*\.ts"/,
  ],
  [
    { since: '2030-01-01' },
    /Nothing was stored since "2030-01-01": the newest entry, e3, is of 1970/,
  ],
  [{ since: 'yesterday' }, /"since" is "yesterday"; write it as/],
  [{ entry: 'e9' }, /no entry "e9"; entries are named "e1" to "e3"/],
  [{ entry: 'proj' }, /fits the paths of 2 entries/],
  [{ path: 'x\ny' }, /"x y"/],
])('%j is told: %s', (filter, wanted) => {
  expect(chosen(filter)).toMatch(wanted);
});

test('brackets that fit no path as a class are read as written, which is said; both meanings work', () => {
  const app = memorySession([
    { text: 'a\n', path: '/p/app/[id]/page.tsx' },
    { text: 'b\n', path: '/p/a[1] é/x.ts' },
    { text: 'c\n', path: '/p/lib/b.ts' },
  ]).store;
  const ask = (path: string, of = app) => chooseEntries(of, { path }, 0);
  const said = { note: expect.stringContaining('read as written') as string };
  expect(ask('app/[id]/page.tsx')).toMatchObject({ ok: true, entries: [{ id: 'e1' }], ...said });
  expect(ask('a[1] é/*')).toMatchObject({ entries: [{ id: 'e2' }], ...said });
  expect(ask('!app/[id]/**')).toMatchObject({ entries: [{ id: 'e2' }, { id: 'e3' }], ...said });
  expect(ask('[a-c].ts')).toEqual({ ok: true, entries: [app.entries[2]] });
  expect(ask('![a-c].ts')).toEqual({ ok: true, entries: app.entries.slice(0, 2) });
  expect(ask('x[1]')).toMatchObject({ ok: false });
  expect(findEntry(app, 'app/[id]/*.tsx')).toMatchObject({ ok: true, entry: { id: 'e1' } });
  // What a class fits stays its choice.
  const both = memorySession([
    { text: 'a\n', path: '/p/app/[id]/page.tsx' },
    { text: 'b\n', path: '/p/app/d/page.tsx' },
  ]).store;
  expect(ask('app/[id]/page.tsx', both)).toEqual({ ok: true, entries: [both.entries[1]] });
});

test('a store without paths or tools says that', () => {
  const bare = memorySession([{ text: 'x\n' }]).store;
  expect(chosen({ path: 'a' }, bare)).toContain('no stored text has a path');
  expect(chosen({ tool: 'a' }, bare)).toContain('leave "tool" out');
});

/** A store of so many files, which counts how often one is looked at. */
function largeStore(count: number) {
  const list = new EntryListing();
  const entries: Entry[] = [];
  const add = (path: string): void => {
    const seq = entries.length + 1;
    const entry = {
      id: `e${seq}`,
      seq,
      kind: 'file',
      path,
      timeMs: seq,
      lengthChars: 1,
      lengthBytes: 1,
    } as Entry;
    entries.push(entry);
    list.add(entry);
  };
  for (let index = 0; index < count; index += 1) add(`/p/${index}/a${index % 7}.ts`);
  let visits = 0;
  const watched = <List extends object>(of: List): List =>
    new Proxy(of, {
      get: (target, name, receiver) => {
        if (typeof name === 'string' && /^\d+$/.test(name)) visits += 1;
        return Reflect.get(target, name, receiver) as unknown;
      },
    });
  Object.assign(list, { namings: watched(list.namings) });
  const of = {
    list,
    entries: watched(entries),
    entry: () => undefined,
    get totals() {
      return { bytes: 0, chars: 0, lines: 0, entries: entries.length };
    },
  } as unknown as SessionStore;
  const visitsOf = (run: () => void): number => {
    visits = 0;
    run();
    return visits;
  };
  return { of, add, visitsOf };
}

test.each([100, 20_000])(
  'of %i entries only what is new is looked at when a filter comes again',
  (count) => {
    const { of, add, visitsOf } = largeStore(count);
    const filter = { path: '*/5/**' };
    expect(visitsOf(() => chosen(filter, of))).toBe(count);
    expect(visitsOf(() => chosen(filter, of))).toBe(0);
    add('/p/5/new.ts');
    expect(visitsOf(() => expect(chosen(filter, of)).toEqual(['e6', `e${count + 1}`]))).toBe(1);
    // What is kept in order is halved, not walked.
    expect(visitsOf(() => chosen({ since: new Date(count).toISOString() }, of))).toBeLessThan(60);
  },
);

test('a name finds its entry only where one fits', () => {
  expect(findEntry(store, '/home/me/proj/docs/a.md')).toMatchObject({
    ok: true,
    entry: { id: 'e2' },
  });
  expect(findEntry(store, 'E3')).toMatchObject({ ok: true, entry: { id: 'e3' } });
  expect(findEntry(store, '__proto__')).toMatchObject({ ok: false });
});
