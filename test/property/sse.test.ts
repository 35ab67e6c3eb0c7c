import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { SseDecoder, type SseEvent } from '../../src/wire/sse.ts';
import { split } from '../support/splits.ts';

const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
const line = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n]/g, ''));

/** An event as somebody may write it, and as it must be read. */
const written = fc
  .record({
    name: fc.constantFrom('', 'error', 'message'),
    lines: fc.array(line, { minLength: 1, maxLength: 3 }),
    comment: fc.option(line),
    space: fc.constantFrom('', ' '),
    end: lineEnd,
  })
  .map(({ name, lines, comment, space, end }) => {
    const fields = [
      ...(comment === null ? [] : [`:${comment}`]),
      ...(name === '' ? [] : [`event:${space}${name}`]),
      // A text that begins with a space needs the field's own space before it.
      ...lines.map((text) => `data:${text.startsWith(' ') ? ' ' : space}${text}`),
    ];
    const event: SseEvent = { name, data: lines.join('\n') };
    return { bytes: `${fields.join(end)}${end}${end}`, event };
  });

it('decodes the same events however the bytes are split', () => {
  fc.assert(
    fc.property(
      fc.array(written, { maxLength: 6 }),
      fc.boolean(),
      fc.array(fc.nat()),
      (events, hasMark, cuts) => {
        const text = (hasMark ? '\uFEFF' : '') + events.map((event) => event.bytes).join('');
        const decoder = new SseDecoder();
        const pieces = split(Buffer.from(text), cuts);
        const read = [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
        expect(read).toEqual(events.map(({ event }) => event));
      },
    ),
    { numRuns: 500 },
  );
});

it('never throws on any bytes, and reads them the same in one piece and in many', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat()), (bytes, cuts) => {
      const whole = new SseDecoder();
      const parts = new SseDecoder();
      const once = [...whole.push(bytes), ...whole.end()];
      const pieces = split(Buffer.from(bytes), cuts).flatMap((piece) => parts.push(piece));
      expect([...pieces, ...parts.end()]).toEqual(once);
    }),
    { numRuns: 500 },
  );
});
