import { expect, test } from 'vitest';
import { EntryListing } from './entry-listing.ts';
import type { Entry } from '../types.ts';

function entry(seq: number, more: Partial<Entry> = {}): Entry {
  return { id: `e${seq}`, seq, kind: 'file', timeMs: seq, lengthChars: 10, ...more } as Entry;
}

test('counts by kind and tool without a walk', () => {
  const list = new EntryListing();
  list.add(entry(1, { kind: 'tool_result', tool: 'bash' }));
  list.add(entry(2, { kind: 'tool_result', tool: 'bash', lengthChars: 5 }));
  list.add(entry(3));
  expect(list.kinds.get('tool_result')).toEqual({ count: 2, chars: 15 });
  expect(list.kinds.get('file')).toEqual({ count: 1, chars: 10 });
  expect(list.tools.get('bash')?.entries.map(({ id }) => id)).toEqual(['e1', 'e2']);
  expect(list.isInTimeOrder).toBe(true);
  list.add(entry(4, { timeMs: 1 }));
  expect(list.isInTimeOrder).toBe(false);
});

test('a text that came from several files has all their names, its own first', () => {
  const list = new EntryListing();
  const licence = entry(1, { path: '/a/LICENSE' });
  list.add(licence);
  list.addPath(licence, '/b/LICENSE');
  list.addPath(licence, '/b/LICENSE');
  list.addPath(licence, '/a/LICENSE');
  expect(list.pathsOf(licence)).toEqual(['/a/LICENSE', '/b/LICENSE']);
  expect(list.namings.map(({ path }) => path)).toEqual(['/a/LICENSE', '/b/LICENSE']);
  expect(list.underPath('/b/LICENSE')).toEqual([licence]);
});

test('a text is replaced when another stands under each of its paths, until it comes back', () => {
  const list = new EntryListing();
  const old = entry(1, { path: '/log' });
  const grown = entry(2, { path: '/log' });
  list.add(old);
  list.add(entry(9, { path: '/log', kind: 'tool_result', tool: 'bash' }));
  expect(list.replaced.size).toBe(0);
  list.add(grown);
  expect(list.successorOf(old)).toBe(grown);
  expect(list.successorOf(grown)).toBeUndefined();
  list.addPath(old, '/log');
  expect(list.successorOf(old)).toBeUndefined();
  expect(list.successorOf(grown)).toBe(old);
  list.addPath(grown, '/log.1');
  const third = entry(3, { path: '/log.1' });
  list.add(third);
  expect(list.successorOf(grown)).toBe(old);
  expect([...list.replaced]).toEqual([grown]);
});

test('a text that still stands under one of its paths is not replaced', () => {
  const list = new EntryListing();
  const text = entry(1, { path: '/a' });
  list.add(text);
  list.addPath(text, '/b');
  list.add(entry(2, { path: '/a' }));
  expect(list.replaced.size).toBe(0);
});
