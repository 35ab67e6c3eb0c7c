import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { codexTable } from './codex-table.ts';

const table = codexTable(['mcp_servers', 'ours'], { command: '"run"', args: '["a", "b"]' });

function put(text: string): string {
  const outcome = table.put(text);
  return outcome.ok ? outcome.text : `fault: ${outcome.fault}`;
}

/** Lines as they stand in such files, ours not among them. */
const line = fc.constantFrom(
  '',
  '# a comment',
  'model = "x" # always',
  'list = [',
  '  "one", # [not a table]',
  ']',
  '[mcp_servers.other]',
  '[mcp_servers."ours-too".env]',
  '[mcp_servers.oursish]',
  ' [ projects . "/a b" ] # said',
  'command = "other"',
  'args = ["ours"]',
  '[[hooks]]',
);

test('what was put in is there, is put in once, and goes again without a trace', () => {
  const text = fc
    .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), fc.boolean())
    .map(([lines, eol, isEnded]) => lines.join(eol) + (isEnded && lines.length > 0 ? eol : ''));
  fc.assert(
    fc.property(text, (before) => {
      expect(table.isIn(before)).toBe(false);
      const after = put(before);
      expect(table.isIn(after)).toBe(true);
      expect(after.startsWith(before)).toBe(true);
      expect(put(after)).toBe(after);
      expect(table.take(after, before)).toBe(before);
    }),
  );
});

test('what others have written since stays', () => {
  const before = 'model = "x"\n';
  const later = '\n# of the other\n[mcp_servers.other]\ncommand = "o"\n';
  expect(table.take(put(before) + later, before)).toBe(before + later);
  const own = 'enabled = false\n\n[mcp_servers.ours.env]\nA = "1"\n';
  const changed = put(before).replace('"run"', '"old"') + own + later;
  expect(put(changed)).toBe(put(before) + own + later);
  expect(table.take(changed, before)).toBe(before + later);
  expect(table.take(`${table.text}\n# mine\n`, undefined)).toBe('\n# mine\n');
  expect(table.take(table.text, undefined)).toBeUndefined();
});

test.each([
  'mcp_servers = {}',
  'mcp_servers.ours = { command = "x" }',
  '"mcp_servers".other.command = "x"',
  '[mcp_servers]\nours = { command = "x" }',
  '[mcp_servers]\n"ours".command = "x"',
])('a form in which ours would stand twice is left alone: %s', (text) => {
  expect(put(text)).toBe('fault: its "mcp_servers" is not written as tables of their own');
  expect(put(`[other]\n${text.replace('[mcp_servers]', '[others]')}`)).toContain(table.text);
});
