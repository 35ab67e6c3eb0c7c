import * as fc from 'fast-check';

/** Any code point that may stand in a text: all but halves of surrogate pairs. */
const anyCharacter = fc
  .oneof(fc.integer({ min: 0, max: 0xd7ff }), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((point) => String.fromCodePoint(point));

/**
 * What `fc.string({ unit: 'binary' })` gives, without the two seconds that it takes to be made: it
 * writes a table of all characters.
 * @param constraints.maxLength In characters
 */
export function anyText(constraints: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  return fc.string({ unit: anyCharacter, ...constraints });
}
