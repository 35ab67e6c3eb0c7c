import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { persistDeclarations } from './program.ts';
import { anyText } from '../../test/support/any-text.ts';

test.each([
  ['let a = 1', 'var a = 1'],
  ['const {a, b: [c]} = f()', 'var {a, b: [c]} = f()'],
  ['let a, b = 2, c', 'var a=undefined, b = 2, c=undefined'],
  ['let a\nlet b', 'var a=undefined\nvar b=undefined'],
  ['let f = (a, b) => a, c;', 'var f = (a, b) => a, c=undefined;'],
  ['let s = x < y\nlet t', 'var s = x < y\nvar t=undefined'],
  ['i++\nlet t = 1', 'i++\nvar t = 1'],
  ['class A { m() {} }\nnew A()', 'var A=class A { m() {} };\nnew A()'],
  ['class A extends B {}', 'var A=class A extends B {};'],
  ['const K = class Q {}', 'var K = class Q {}'],
  ['for (let i = 0; i < 3; i++) { let x }', 'for (let i = 0; i < 3; i++) { let x }'],
  ['if (a) { const b = 1 }', 'if (a) { const b = 1 }'],
  ['"let a = 1"; `let b ${`let c`} let d`', '"let a = 1"; `let b ${`let c`} let d`'],
  ['// let a\n/* let b */ let c = 1', '// let a\n/* let b */ var c = 1'],
  ['x = /["{`]/; let y = 1', 'x = /["{`]/; var y = 1'],
  ['x = a / b; let y = c / d', 'x = a / b; var y = c / d'],
  ['x.match(/[/"]/g); const n = 1', 'x.match(/[/"]/g); var n = 1'],
  ['x = `${a ? `}` : "}"}`; let y = 1', 'x = `${a ? `}` : "}"}`; var y = 1'],
  ['o.let = 1; o.class', 'o.let = 1; o.class'],
  ['function f() { let a }\nlet b = 1', 'function f() { let a }\nvar b = 1'],
  ['let a = 1; let a = 2; const a = 3', 'var a = 1; var a = 2; var a = 3'],
  [
    'const a = await f(); for await (const b of c) { let d }',
    'var a = await f(); for await (const b of c) { let d }',
  ],
  ['let a = /[/]/ / 2\nlet b = a /2/ 1', 'var a = /[/]/ / 2\nvar b = a /2/ 1'],
  ['if (a) /[}]/.test(b); let c = 1', 'if (a) /[}]/.test(b); var c = 1'],
  ['let f = function () {} / 2; let g', 'var f = function () {} / 2; var g=undefined'],
  ['let\n a', 'var\n a=undefined'],
  ['do x(); while (y) let z = 1', 'do x(); while (y) var z = 1'],
])('%s', (code, expected) => {
  expect(persistDeclarations(code)).toBe(expected);
});

test.each([
  'let 5',
  'let a = 1; let b = ;',
  'const c',
  'let a = `',
  `let a = ${'('.repeat(100_000)}`,
])('what cannot be read is left to the engine: %.30s', (code) => {
  expect(persistDeclarations(code)).toBe(code);
});

test('any text keeps its lines', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'let ',
      'let a',
      'const b = 1',
      'class A{}',
      '`',
      '${',
      '}',
      '{',
      '/',
      "'",
      '"',
      '\n',
      '\\',
      '(',
      ')',
      '/*',
      '*/',
      ';',
    ),
    anyText({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const code = pieces.join('');
      expect(persistDeclarations(code).split('\n').length).toBe(code.split('\n').length);
    }),
  );
});
