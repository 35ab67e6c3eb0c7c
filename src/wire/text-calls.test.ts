import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextCallDoor, type TextCall } from './text-calls.ts';

const rules = {
  isOwn: (name: string) => /^(?:functions\.)?rlm_/i.test(name),
  // As lenient readers are: a call that ends in the middle of a string has no end.
  isReadable: (text: string) => text === '' || /^\{(?:[^"]|"(?:[^"\\]|\\.)*")*\}$/.test(text),
};

function read(pieces: readonly string[]): { text: string; calls: readonly TextCall[] } {
  const door = new TextCallDoor(rules);
  const text = pieces.map((piece) => door.push(piece)).join('');
  const { rest, calls } = door.end();
  return { text: text + rest, calls };
}

/** The same however the text comes: whole, in two pieces cut anywhere, in single units. */
function readAnyhow(text: string): ReturnType<typeof read> {
  const whole = read([text]);
  for (let at = 1; at < text.length; at += 1)
    expect(read([text.slice(0, at), text.slice(at)])).toEqual(whole);
  expect(read(text.split(''))).toEqual(whole);
  return whole;
}

const find = { name: 'rlm_find', arguments: '{"text":"a b"}' };
const stats = { name: 'rlm_stats', arguments: '{}' };
const qwen = '<tool_call>\n{"name": "rlm_find", "arguments": {"text": "a b"}}\n</tool_call>';
const qwenStats = '<tool_call>{"name":"rlm_stats","arguments":{}}</tool_call>';
const glm =
  '<tool_call>rlm_find\n<arg_key>text</arg_key>\n<arg_value>a b</arg_value>\n</tool_call>';
const kimiOne = (name: string, args: string) =>
  `<|tool_call_begin|>functions.${name}:0<|tool_call_argument_begin|>${args}<|tool_call_end|>`;
const kimi = (...calls: string[]) =>
  `<|tool_calls_section_begin|>${calls.join('')}<|tool_calls_section_end|>`;
const deepSeek = (...calls: string[]) =>
  `<｜tool▁calls▁begin｜>${calls.map((call) => `<｜tool▁call▁begin｜>${call}<｜tool▁call▁end｜>`).join('\n')}<｜tool▁calls▁end｜>`;

describe('is a call', () => {
  it.each<[string, string, string, readonly TextCall[]]>([
    ['JSON between marks', qwen, '', [find]],
    [
      'JSON with another order of members',
      '<tool_call>{"arguments":{},"name":"rlm_stats"}</tool_call>',
      '',
      [stats],
    ],
    ['JSON without arguments', '<tool_call>{"name":"rlm_stats"}</tool_call>', '', [stats]],
    [
      'JSON whose arguments are a text',
      String.raw`<tool_call>{"name":"rlm_find","arguments":"{\"text\":\"a b\"}"}</tool_call>`,
      '',
      [find],
    ],
    [
      'arguments that are almost JSON, as they stand',
      String.raw`<tool_call>{"name":"rlm_search","arguments":{"pattern":"a\.b"}}</tool_call>`,
      '',
      [{ name: 'rlm_search', arguments: String.raw`{"pattern":"a\.b"}` }],
    ],
    [
      'arguments that hold the closing mark',
      '<tool_call>{"name":"rlm_find","arguments":{"text":"</tool_call>"}}</tool_call>',
      '',
      [{ name: 'rlm_find', arguments: '{"text":"</tool_call>"}' }],
    ],
    [
      'several, with text before and white space behind',
      `Let me look.\n${qwen}\n${qwenStats}\n\n`,
      'Let me look.\n',
      [find, stats],
    ],
    ['a name and XML', glm, '', [find]],
    ['a name alone', '<tool_call>rlm_stats\n</tool_call>', '', [stats]],
    [
      'XML in one line, values that are texts whatever they look like',
      '<tool_call>rlm_search<arg_key>pattern</arg_key><arg_value>{"</arg_value><arg_key>max_results</arg_key><arg_value>5</arg_value></tool_call>',
      '',
      [{ name: 'rlm_search', arguments: '{"pattern":"{\\"","max_results":"5"}' }],
    ],
    ['a section of one', kimi(kimiOne('rlm_find', find.arguments)), '', [find]],
    [
      'a section of two',
      `Well.\n\n${kimi(kimiOne('rlm_find', find.arguments), kimiOne('rlm_stats', '{}'))}`,
      'Well.\n\n',
      [find, stats],
    ],
    [
      'a type, a name and a fence',
      deepSeek(
        'function<｜tool▁sep｜>rlm_find\n```json\n{"text":"a b"}\n```',
        'function<｜tool▁sep｜>rlm_stats\n```json\n{}\n```',
      ),
      '',
      [find, stats],
    ],
    ['a name and arguments', deepSeek('rlm_find<｜tool▁sep｜>{"text":"a b"}'), '', [find]],
    ['behind a fence that is closed', `\`\`\`sh\nls\n\`\`\`\n${qwen}`, '```sh\nls\n```\n', [find]],
    [
      'behind backticks that are no fence',
      `\`\`\`ls\`\`\` shows it\n${qwen}`,
      '```ls``` shows it\n',
      [find],
    ],
  ])('%s', (_, text, shown, calls) => {
    expect(readAnyhow(text)).toEqual({ text: shown, calls });
  });
});

describe('is text, byte for byte', () => {
  it.each<[string, string]>([
    ['plain text', 'a < b\n<b>\n\n'],
    [
      'an answer about the mark',
      'Models write\n<tool_call> is how it begins,\n</tool_call> how it ends.',
    ],
    ['a call with words behind it', `Write\n${qwen}\nand it is run.`],
    ['a call with a word behind it', `${qwen}.`],
    ['two calls with words between them at the end', `${qwen}\n${qwen}\nor so`],
    ['a call in a fence', `\`\`\`\n${qwen}\n\`\`\`\n`],
    ['a call in a fence that is not closed', `\`\`\`xml\n${qwen}`],
    ['a call in a longer fence', `~~~~\n~~~\n${qwen}\n~~~~`],
    ['a call in a fence in a list', `1. \`\`\`\n${qwen}\n   \`\`\`\n`],
    ['a call within a line', `Write ${qwenStats}`],
    ['a call with white space before it', ` ${qwenStats}`],
    ['a call of another tool', '<tool_call>{"name":"bash","arguments":{}}</tool_call>'],
    [
      'a call of another tool, XML',
      '<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>',
    ],
    [
      'a section with a call of another tool',
      kimi(kimiOne('rlm_stats', '{}'), kimiOne('bash', '{}')),
    ],
    ['a section with words in it', kimi(kimiOne('rlm_stats', '{}'), 'and so on')],
    ['an empty section', kimi()],
    [
      'arguments that cannot be read',
      '<tool_call>{"name":"rlm_find","arguments":{"text":"}}</tool_call>',
    ],
    ['arguments that are a list', '<tool_call>{"name":"rlm_find","arguments":[1]}</tool_call>'],
    ['XML with a value missing', '<tool_call>rlm_find\n<arg_key>text</arg_key>\n</tool_call>'],
    ['a call that is cut', qwen.slice(0, -3)],
    ['a mark that is cut', 'so:\n<tool_c'],
    ['nothing', ''],
  ])('%s', (_, text) => {
    expect(readAnyhow(text)).toEqual({ text, calls: [] });
  });
});

it('only the last of the texts is a call where one with words behind it comes first', () => {
  expect(readAnyhow(`${qwenStats} is a call\n${qwen}`)).toEqual({
    text: `${qwenStats} is a call\n`,
    calls: [find],
  });
});

it('text that cannot become a call is not waited for', () => {
  const door = new TextCallDoor(rules);
  expect(door.push('so\n<tool_call> i')).toBe('so\n');
  expect(door.push('s')).toBe('');
  expect(door.push(' a')).toBe('<tool_call> is a');
  expect(door.push('\n<tool_call>{"name":"bash"')).toBe('\n<tool_call>{"name":"bash"');
});

it('at most 8192 units are held back', () => {
  const door = new TextCallDoor(rules);
  const begun = '<tool_call>{"name":"rlm_exec","arguments":{"code":"';
  const most = begun.padEnd(8_192, 'x');
  expect(door.push(most)).toBe('');
  expect(door.push('y')).toBe(`${most}y`);
  expect(door.push('"}}</tool_call>')).toBe('"}}</tool_call>');
  expect(door.end()).toEqual({ rest: '', calls: [] });
});

it('a call as large as that is a call', () => {
  const end = '"}}</tool_call>';
  const text = '<tool_call>{"name":"rlm_exec","arguments":{"code":"'.padEnd(
    8_192 - end.length,
    'x',
  );
  expect(read([text, end]).calls).toHaveLength(1);
});

it('an interruption makes text of what is not whole, and more may follow', () => {
  const door = new TextCallDoor(rules);
  expect(door.push(`${qwen}\n<tool`)).toBe('');
  expect(door.end()).toEqual({ rest: `${qwen}\n<tool`, calls: [] });
  expect(door.push(`\n${qwen}`)).toBe('\n');
  expect(door.end()).toEqual({ rest: '', calls: [find] });
});

it('whatever comes, however cut: nothing is lost but calls at the end', () => {
  const parts = fc.constantFrom(
    qwen,
    qwenStats,
    glm,
    kimi(kimiOne('rlm_stats', '{}')),
    '\n',
    '\n',
    ' ',
    'word',
    '```',
    '~~~\n',
    '<tool_call>',
    '</tool_call>',
    '{"name":"rlm_find"',
    '<｜tool▁calls▁begin｜>',
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), fc.array(fc.nat(400)), (texts, cuts) => {
      const text = texts.join('');
      const places = [
        0,
        ...cuts.filter((at) => at < text.length).sort((a, b) => a - b),
        text.length,
      ];
      const pieces = places.slice(1).map((at, index) => text.slice(places[index], at));
      const got = read(pieces);
      expect(got).toEqual(read([text]));
      expect(text.startsWith(got.text)).toBe(true);
      expect(text.slice(got.text.length)).toMatch(
        got.calls.length === 0 ? /^$/ : /^<(?:tool_call>|\|tool_calls_section_begin)/,
      );
    }),
    { numRuns: 300 },
  );
});
