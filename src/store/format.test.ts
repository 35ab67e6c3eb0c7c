import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeHeader, encodeRecord, headerFault, isWholeRecord } from './format.ts';

const record = fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 });

test('a record is one line of JSON with its checksum', () => {
  fc.assert(
    fc.property(record, (object) => {
      const line = encodeRecord(object);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(isWholeRecord(Buffer.from(line.slice(0, -1)))).toBe(true);
      const parsed = JSON.parse(line) as Record<string, unknown>;
      expect(JSON.stringify({ ...parsed, crc: 0 })).toBe(JSON.stringify({ ...object, crc: 0 }));
    }),
  );
});

test('no line with a changed or missing byte is whole', () => {
  const line = Buffer.from(encodeRecord({ type: 'entry', tool: 'bash', n: 17 }).trimEnd());
  for (let at = 0; at < line.length; at += 1) {
    const changed = Buffer.from(line);
    changed[at]! ^= 0x04;
    expect(isWholeRecord(changed), `byte ${at}`).toBe(false);
    expect(isWholeRecord(line.subarray(0, at)), `first ${at} bytes`).toBe(false);
  }
});

test.each([
  ['rlm-opencode-entries', 'sess_11111111', ''],
  ['rlm-opencode-chats', 'sess_11111111', 'it holds rlm-opencode-entries'],
  ['rlm-opencode-entries', 'sess_22222222', 'it belongs to session sess_11111111'],
])('a header asked for as %s of %s', (format, sessionId, fault) => {
  const line = Buffer.from(encodeHeader('rlm-opencode-entries', 'sess_11111111', 5).trimEnd());
  expect(headerFault(line, format, sessionId) ?? '').toContain(fault);
  expect(headerFault(line, format, sessionId) === undefined).toBe(fault === '');
});

test('a header of a later version is refused, and says what to do', () => {
  const line = encodeRecord({
    type: 'header',
    format: 'f',
    version: 3,
    sessionId: 's',
    createdMs: 1,
  });
  expect(() => headerFault(Buffer.from(line.trimEnd()), 'f', 's')).toThrow(
    expect.objectContaining({
      code: 'store_newer',
      message: expect.stringContaining('it has format 3, this program reads formats up to 2)'),
    }),
  );
});
