import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../src/log.ts';
import { type Clock, systemClock, randomIds } from '../../src/clock.ts';
import { ingestPaths } from '../../src/ingest/ingest.ts';
import { openSearchEngine } from '../../src/search/engine.ts';
import type { SearchEngine } from '../../src/search/types.ts';
import { openSessions } from '../../src/store/sessions.ts';
import type { Session, Sessions } from '../../src/store/types.ts';
import { readingTools, ToolRegistry } from '../../src/tools/registry.ts';
import { toolResult } from '../support/tool-results.ts';

/** A clock on which no time passes: nothing is left out because the machine is busy. */
const clock: Clock = { ...systemClock, elapsedMs: () => 0, after: () => () => undefined };

const registry = new ToolRegistry(readingTools);
let folder: string;
let sessions: Sessions;
let session: Session;
let search: SearchEngine;

const esc = '\u001b';
const licence = 'MIT licence\nyou may\n';
const files: Readonly<Record<string, string>> = {
  'a/LICENSE': licence,
  'b/LICENSE': licence,
  'src/App.ts': 'first\nrow here\nlast',
  'src/Next.ts': 'next one\nrow there\n',
  'data/long.json': `${'x'.repeat(2_000)}row${'y'.repeat(2_000)}\n`,
  'log/colour.log': `${esc}[31mERROR${esc}[0m: connection ${esc}[1mrefused${esc}[0m by db\n`,
  'log/plain.log': 'ERROR timeout in brake shoe\n',
  [`x/${'a'.repeat(120)}/c.txt`]: 'row of a\n',
  'app/[id]/page.tsx': 'a bracketed page\n',
  'doc/form.txt': `une e\u0301cole\n`,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rlm-filters-'));
  search = openSearchEngine({ clock, workers: 1 });
  sessions = await openSessions({
    dataDir: join(folder, 'store'),
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  session = (await sessions.forDirectory('/work/filters', { create: true }))!;
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const options = {
    clock: systemClock,
    workingDirectory: folder,
    signal: AbortSignal.timeout(60_000),
  };
  await ingestPaths(session, ['a', 'app', 'b', 'src', 'data', 'log', 'doc', 'x'], options);
});

afterAll(async () => {
  await sessions[Symbol.asyncDispose]();
  await search[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** A call, as a program makes it. */
async function call(name: string, args: object): Promise<Readonly<Record<string, unknown>>> {
  const text = await registry.run(
    { id: 'c', type: 'function', function: { name, arguments: JSON.stringify(args) } },
    {
      session,
      search,
      clock,
      signal: AbortSignal.timeout(60_000),
      searchDeadlineMs: 60_000,
      maxResultChars: 20_000,
      form: 'json',
    },
  );
  return toolResult(text);
}

test('a text that came from several files is one entry, found and shown under each of them', async () => {
  for (const path of ['a/LICENSE', 'b/LICENSE'])
    expect(await call('rlm_search', { pattern: 'licence', path })).toMatchObject({
      total: 1,
      matches: [
        { path: expect.stringContaining(path), also_at: [expect.stringContaining('LICENSE')] },
      ],
    });
  const { newest_entries: entries } = await call('rlm_stats', { newest: 200 });
  expect(
    (entries as { path: string }[]).filter(({ path }) => path.endsWith('LICENSE')),
  ).toHaveLength(1);
});

test('usual spellings of a filter are understood, and one that fits nothing is an error', async () => {
  for (const path of ['**/*.{ts,js}', './src/App.ts', 'App.?s', 'src/*'])
    expect(await call('rlm_search', { pattern: 'row here', path })).toMatchObject({ total: 1 });
  expect((await call('rlm_search', { pattern: 'row', path: 'src/Nope.ts' }))['error']).toContain(
    'src/Ne',
  );
  expect((await call('rlm_search', { pattern: 'row', tool: 'Read' }))['error']).toContain(
    'leave "tool" out',
  );
});

test('brackets of a file name are read as written where they fit nothing else, and that is said', async () => {
  for (const path of ['app/[id]/page.tsx', 'app/[id]/*']) {
    const found = await call('rlm_search', { pattern: 'bracketed', path });
    expect(found).toMatchObject({ total: 1 });
    expect(found['note']).toMatch(/read as written/);
  }
  const found = await call('rlm_search', { pattern: 'bracketed', path: '[o-q]age.tsx' });
  expect(found).toMatchObject({ total: 1 });
  expect(found).not.toHaveProperty('note');
});

test('wildcards that could fit in very many ways are answered at once', async () => {
  const found = await call('rlm_search', { pattern: 'row', path: '**a**a**a**a**a**a**a**a**b' });
  expect(found['error']).toContain('No entry has a path that fits');
  expect(await call('rlm_search', { pattern: 'row of', path: '*a*a*a*a*a*a' })).toMatchObject({
    total: 1,
  });
});

test('lines around a hit end with its entry, and say so; clipped lines are marked', async () => {
  const found = await call('rlm_search', { pattern: 'row here', context_lines: 5, path: 'src/*' });
  expect(found['matches']).toMatchObject([
    {
      before: ['first'],
      after: ['last'],
      border: expect.stringMatching(/^e\d+ begins and ends here$/),
    },
  ]);
  const { matches } = await call('rlm_find', { text: 'row', path: 'long.json' });
  expect(matches).toMatchObject([{ clipped: true }]);
  expect(JSON.stringify(await call('rlm_find', { text: 'row here' }))).not.toContain('clipped');
});

test('a read by offset ends with the entry that it begins in, and says where the next begins', async () => {
  const { matches } = await call('rlm_find', { text: 'row here' });
  const [{ offset, entry }] = matches as [{ offset: number; entry: string }];
  const read = await call('rlm_get_context', { offset, length: 1_000 });
  expect(read).toMatchObject({ text: 'row here\nlast', entry, has_more: true });
  expect(read['note']).toMatch(
    new RegExp(`^${entry} ends here; e\\d+ begins at ${String(read['next_offset'])}`),
  );
  const next = await call('rlm_get_context', { offset: read['next_offset'], length: 1_000 });
  expect(next).toMatchObject({ text: 'next one\nrow there\n' });
  // The newline between two texts belongs to neither.
  const between = await call('rlm_get_context', { offset: offset + 13, length: 4 });
  expect(between).toMatchObject({ text: 'next', offset: read['next_offset'] });
});

test('all of the context is read by going on with next_offset', async () => {
  let text = '';
  for (let offset = 0; ;) {
    const read = await call('rlm_get_context', { offset, length: 50_000 });
    text += `${String(read['text'])}|`;
    if (read['has_more'] !== true) break;
    offset = Number(read['next_offset']);
  }
  const { entries } = await call('rlm_stats', {});
  expect(text.split('|').filter(Boolean)).toHaveLength(Number(entries));
});

test.each<[object, RegExp]>([
  [{ pattern: String.raw`brake\|timeout` }, /brake\|timeout"\}/],
  [{ pattern: '^ERROR', path: 'colour.log' }, /colour codes.*1 line/],
  [{ pattern: 'ERROR: connection refused' }, /colour codes.*1 line/],
  [{ pattern: '\u00e9cole' }, /another Unicode form: 1 line with .*e\\u0301cole/],
  [{ pattern: 'brake licence' }, /"brake" 1 line, "licence" 1 line/],
  [{ pattern: 'row', path: 'a/LICENSE' }, /Without the filter: 4 lines/],
])('a search for %j finds nothing and says why', async (args, note) => {
  const found = await call('rlm_search', args);
  expect(found).toMatchObject({ total: 0 });
  expect(found['note']).toMatch(note);
});

test('hits in older texts of a file that was stored again are told apart in the total', async () => {
  const options = {
    clock: systemClock,
    workingDirectory: folder,
    signal: AbortSignal.timeout(60_000),
  };
  await writeFile(join(folder, 'log/plain.log'), `${files['log/plain.log'] ?? ''}ERROR again\n`);
  await ingestPaths(session, ['log'], options);
  const found = await call('rlm_search', { pattern: 'timeout in brake' });
  expect(found).toMatchObject({ total: 2 });
  expect(found['note']).toMatch(
    /^1 of these lines lies in older texts of files that were stored again/,
  );
});
