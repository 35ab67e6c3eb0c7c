import { expect, test } from 'vitest';
import { textSearch } from '../../test/support/text-search.ts';
import type { AggregateGroup, RecordTable, SearchResult } from './types.ts';

const { search } = textSearch();

/** The records of a table, field by field. */
function rows({ text, separator, count, fieldCount }: RecordTable): readonly (readonly string[])[] {
  const whole = Buffer.from(text).toString('utf8');
  const flat =
    separator === undefined
      ? (JSON.parse(whole) as readonly string[])
      : count === 0
        ? []
        : whole.split(separator);
  expect(flat).toHaveLength(count * fieldCount);
  return Array.from({ length: count }, (_, i) => flat.slice(i * fieldCount, (i + 1) * fieldCount));
}

/** What V8 captures, line by line. */
function captures(text: string, pattern: RegExp): readonly (readonly string[])[] {
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => Array.from(line.matchAll(pattern)))
    .map((match) => (match.length === 1 ? [match[0]] : match.slice(1).map((one) => one ?? '')));
}

/** A log of some size, so that several workers have parts of it. */
const log = Array.from({ length: 60_000 }, (_, i) => {
  const user = `user=${['ann', 'bob', 'zoë', 'dan'][(i * 7) % 4]}`;
  const price = `${i % 90}.${i % 10}`;
  return i % 5 === 0
    ? `2026-0${1 + (i % 3)}-11 payment ${user} amount=${price} status=${i % 2 === 0 ? 'ok' : 'declined'}\n`
    : `2026-0${1 + (i % 3)}-12 heartbeat number ${i} of the worker\n`;
}).join('');

test.each([
  String.raw`user=(\S+) amount=(\d+)\.(\d)`,
  String.raw`(\d+)-(\d+)-(\d+) (?:payment (user)|heartbeat)`,
  String.raw`(?:(a)|(b)|(o))`,
  String.raw`((\d)\d)*x?-`,
  String.raw`status=(?=d)(\w+)`,
  'payment',
])('records of %s are what a line-by-line look captures, in order', async (pattern) => {
  const { records } = await search(log, pattern, { records: { maxRecords: 1_000_000 } });
  const wanted = captures(log, new RegExp(pattern, 'gu'));
  expect(records?.overflowed).toBe(false);
  const found = rows(records!);
  expect(found).toHaveLength(wanted.length);
  expect(found.findIndex((row, i) => row.join('|') !== wanted[i]?.join('|'))).toBe(-1);
});

/** Long runs, texts that are not ASCII within them, and ends of lines of all kinds. */
const runs = Array.from({ length: 400 }, (_, i) => {
  const value = `${'a b,c=d '.repeat(i % 9)}${i % 3 === 0 ? 'é\u{1f600}' : ''}tail ${i}`;
  return `${i % 7 === 0 ? '\uFEFF' : ''}Key-${i % 5}: ${value}${i % 4 === 0 ? '\r' : ''}\n`;
}).join('');

test.each([
  String.raw`^Key-(\d): (.+)$`,
  String.raw`^(Key|Other)-\d: (.*?)(\d*)$`,
  String.raw`^(?:(K)e|(x))?.*(tail) (\d+)`,
  String.raw`([^,\s]+),(.*=)`,
  String.raw`(.+) (\d+)$`,
  String.raw`\b(\w+)=(d)\b`,
  String.raw`(?:([a-d])[ ,=])+`,
  '^(.*)',
])('captures of %s in long lines are what a line-by-line look captures', async (pattern) => {
  const { records } = await search(runs, pattern, { records: { maxRecords: 1_000_000 } });
  // A mark at a line's beginning and the return at its end are no characters of the line.
  const plain = runs.replaceAll(/^\uFEFF|\r$/gm, '');
  const wanted = captures(plain, new RegExp(pattern, 'gu'));
  expect(rows(records!)).toEqual(wanted);
});

test('records name their groups, and keep whatever a field holds', async () => {
  const text = 'k=a\u001fb;\nk=\u0001;\nk=\u001e\u001d\u0002\u0003;\n';
  const { records } = await search(text, '(?<key>k)=([^;]*)', { records: { maxRecords: 10 } });
  expect(records?.names).toEqual(['key', null]);
  expect(records?.separator).toBe('\n');
  expect(rows(records!).map(([, field]) => field)).toEqual([
    'a\u001fb',
    '\u0001',
    '\u001e\u001d\u0002\u0003',
  ]);
  const odd = 'x[\n]y[\u001f\u001e]z[\u001d\u0001]v[\u0002\u0003]\n';
  const several = await search(odd, String.raw`\[([^\]]+)\]|\n(?!.)`, {
    records: { maxRecords: 10 },
  });
  expect(several.records?.separator).toBeUndefined();
  expect(rows(several.records!)[0]).toEqual(['\n']);
});

test('more records than asked for are counted and not given', async () => {
  const { records } = await search(log, 'user=(\\w+)', { records: { maxRecords: 11_999 } });
  expect(records).toMatchObject({ overflowed: true, count: 12_000 });
  expect(records?.text).toHaveLength(0);
});

/** The groups by their keys. */
function byKey({ groups = [] }: SearchResult): ReadonlyMap<string, AggregateGroup> {
  return new Map(groups.map((group) => [(group.values ?? [group.value]).join('|'), group]));
}

test('groups have several keys and measures, exact over all workers', async () => {
  const wanted = new Map<string, { count: number; sum: number; days: Set<string> }>();
  const pattern = String.raw`(\d+-\d+)-(\d+) payment user=(\S+) amount=([\d.]+) status=(?<status>\w+)`;
  for (const [month, day, user, amount, status] of captures(log, new RegExp(pattern, 'gu'))) {
    const key = `${user}|${status}|${month}`;
    const one = wanted.get(key) ?? { count: 0, sum: 0, days: new Set() };
    wanted.set(key, one);
    one.count += 1;
    one.sum += Math.round(Number(amount) * 10);
    one.days.add(String(day));
  }
  const result = await search(log, pattern, {
    aggregate: {
      kind: 'count_by',
      by: [3, 'status', 1],
      measures: { sum: 4, min: 4, max: 4, avg: 4, distinct: 2 },
      maxGroups: 1_000,
    },
  });
  const found = byKey(result);
  expect(result.occurrences).toBe(12_000);
  expect([...found.keys()].toSorted()).toEqual([...wanted.keys()].toSorted());
  for (const [key, { count, sum, days }] of wanted) {
    expect(found.get(key)).toMatchObject({ count, sum: sum / 10, distinct: days.size });
    expect(found.get(key)?.avg).toBeCloseTo(sum / 10 / count, 9);
  }
  const all = await search(log, pattern, {
    aggregate: { kind: 'count', measures: { min: 4, max: 4, distinct: 3 }, maxGroups: 1 },
  });
  expect(all.groups).toMatchObject([{ count: 12_000, min: 0, max: 85.5, distinct: 4 }]);
});

test('numbers are read as logs write them, and what is none is told', async () => {
  const text = 'n=1,234.5;\nn=-2;\nn=1e3;\nn=many;\nn=;\nn=0.1;\nn=0.2;\n';
  const { groups } = await search(text, 'n=([^;]*)', {
    aggregate: { kind: 'count', measures: { sum: 1, max: 1 }, maxGroups: 1 },
  });
  expect(groups).toMatchObject([{ count: 7, sum: 2232.8, max: 1234.5, notNumbers: 2 }]);
});

test('occurrences are grouped by what the entries that hold them are labelled with', async () => {
  const texts = ['a 1\na 2\n', 'b 3\n', 'c 4\nc 5\n'];
  let offsetBytes = 0;
  const entries = texts.map((text) => {
    const entry = { offsetBytes, lengthBytes: text.length };
    offsetBytes += text.length;
    return entry;
  });
  const labels = new Int32Array(new SharedArrayBuffer(12));
  labels.set([0, 1, 0]);
  const result = await search(
    texts.join(''),
    '(\\d)',
    { aggregate: { kind: 'count_by', by: [{ labels }], measures: { sum: 1 }, maxGroups: 9 } },
    entries,
  );
  expect(result.groups).toMatchObject([
    { value: '0', count: 4, sum: 12 },
    { value: '1', count: 1, sum: 3 },
  ]);
  const { records } = await search(
    texts.join(''),
    '[abc]',
    { records: { maxRecords: 9, labels } },
    entries,
  );
  expect(rows(records!).map((fields) => fields.join(''))).toEqual(['a0', 'a0', 'b1', 'c0', 'c0']);
});
