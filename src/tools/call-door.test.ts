import {
  array,
  assert,
  boolean,
  constantFrom,
  integer,
  property,
  record,
  string,
} from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { checkArguments, plainOwnName, readArguments } from './call-door.ts';
import { allTools, sentBack, ToolRegistry } from './registry.ts';

const registry = new ToolRegistry(allTools);

function toolOf(name: string): (typeof allTools)[number] {
  const tool = allTools.find((one) => one.name === name);
  if (tool === undefined) throw new Error(`no tool ${name}`);
  return tool;
}

/**
 * What came of arguments: those that are not as the tool fills them in, and the notes; or the
 * fault.
 */
function taken(name: string, given: unknown): unknown {
  const tool = toolOf(name);
  const checked =
    typeof given === 'string' ? readArguments(given, tool) : checkArguments(given, tool);
  if (!checked.ok) return checked.fault;
  const required = {
    rlm_search: { pattern: '' },
    rlm_find: { text: '' },
    rlm_query: { question: '' },
    rlm_exec: { code: '' },
  };
  const [subject] = Object.keys((required as Record<string, object>)[name] ?? {});
  const least = tool.args.parse(subject === undefined ? {} : { [subject]: 'x' });
  const defaults: Record<string, unknown> = { ...(least as object) };
  if (subject !== undefined) delete defaults[subject];
  const own = Object.entries(checked.args as object).filter(
    ([member, value]) => defaults[member] !== value,
  );
  return checked.notes.length === 0
    ? Object.fromEntries(own)
    : { ...Object.fromEntries(own), notes: checked.notes };
}

describe('the object', () => {
  test.each<[string, unknown, unknown]>([
    [
      'rlm_search',
      { pattern: 'ERROR', entry: null, path: null, cursor: null },
      { pattern: 'ERROR' },
    ],
    [
      'rlm_search',
      { pattern: 'ERROR', entry: '', path: '', since: '', cursor: '', tool: '' },
      { pattern: 'ERROR' },
    ],
    ['rlm_search', { pattern: 'ERROR', entry: 'null', since: 'None' }, { pattern: 'ERROR' }],
    ['rlm_search', { pattern: 'E', max_results: '10' }, { pattern: 'E', max_results: 10 }],
    [
      'rlm_search',
      { pattern: 'e', case_sensitive: 'false' },
      { pattern: 'e', case_sensitive: false },
    ],
    ['rlm_search', { pattern: 'e', ignore_case: true }, { pattern: 'e', case_sensitive: false }],
    ['rlm_search', { pattern: 'e', flags: 'gi' }, { pattern: 'e', case_sensitive: false }],
    ['rlm_search', { query: 'e', limit: 5 }, { pattern: 'e', max_results: 5 }],
    [
      'rlm_search',
      { pattern: 'e', maxResults: 5, 'Context-Lines': '2' },
      { pattern: 'e', max_results: 5, context_lines: 2 },
    ],
    [
      'rlm_search',
      { pattern: 404, group: '1', aggregate: 'Count_By' },
      { pattern: '404', group: ['1'], aggregate: 'count_by' },
    ],
    [
      'rlm_search',
      { pattern: 'e', order: 'asc', max_groups: 'null' },
      { pattern: 'e', order: 'oldest' },
    ],
    ['rlm_search', { pattern: 'e', entry: 1 }, { pattern: 'e', entry: 'e1' }],
    ['rlm_search', { pattern: 'e', entry_id: 'E7' }, { pattern: 'e', entry: 'e7' }],
    ['rlm_search', { pattern: 'e', path: 'null' }, { pattern: 'e', path: 'null' }],
    [
      'rlm_search',
      { pattern: 'e', max_results: 5000, context_lines: '60' },
      {
        pattern: 'e',
        max_results: 1000,
        context_lines: 20,
        notes: [
          'max_results is at most 1000: 1000 was taken for 5000.',
          'context_lines is at most 20: 20 was taken for 60.',
        ],
      },
    ],
    [
      'rlm_search',
      { pattern: 'e', max_results: 0 },
      { pattern: 'e', max_results: 1, notes: ['max_results is at least 1: 1 was taken for 0.'] },
    ],
    ['rlm_search', { arguments: { pattern: 'e' } }, { pattern: 'e' }],
    ['rlm_search', [{ pattern: 'e' }], { pattern: 'e' }],
    ['rlm_search', { pattern: 'e', query: 'e', path: 'a', file: 'a' }, { pattern: 'e', path: 'a' }],
    ['rlm_search', { pattern: 'e', unknown: null }, { pattern: 'e' }],
    ['rlm_find', { text: '10' }, { text: '10' }],
    ['rlm_find', { text: 'null' }, { text: 'null' }],
    ['rlm_find', { text: 'true' }, { text: 'true' }],
    ['rlm_find', { pattern: 'a(b' }, { text: 'a(b' }],
    [
      'rlm_get_context',
      { entry: 'e1', offset: '100', length: '50' },
      { entry: 'e1', offset: 100, length: 50 },
    ],
    ['rlm_get_context', { entry: ['e1'], limit: 50 }, { entry: 'e1', length: 50 }],
    ['rlm_get_context', {}, {}],
    ['rlm_stats', { newest: '3' }, { newest: 3 }],
    [
      'rlm_stats',
      { newest: 900 },
      { newest: 200, notes: ['newest is at most 200: 200 was taken for 900.'] },
    ],
    [
      'rlm_query',
      { question: 'q', entries: 'e1, e2', reduce: '', explore: 'True' },
      { question: 'q', entries: ['e1', 'e2'], explore: true },
    ],
    [
      'rlm_query',
      { prompt: 'q', entries: [1, '2'], max_parts: '7' },
      { question: 'q', entries: ['e1', 'e2'], max_parts: 7 },
    ],
    ['rlm_query', { question: 'q', entries: [], pattern: null }, { question: 'q' }],
    ['rlm_exec', { script: '1+1' }, { code: '1+1' }],
  ])('%s %j is %j', (name, given, wanted) => {
    expect(taken(name, given)).toEqual(wanted);
  });

  it('says what is wrong where the meaning is open, and which arguments there are', () => {
    expect(taken('rlm_find', {})).toMatch(/do not fit: .*text.* It takes text \(string\),/);
    expect(taken('rlm_stats', null)).toContain('do not fit');
    expect(taken('rlm_find', { text: '' })).toContain('do not fit');
    expect(taken('rlm_search', { pattern: 'a', query: 'b' })).toContain('query');
    expect(taken('rlm_search', { pattern: 'a', max_results: 'many' })).toContain('max_results');
    expect(taken('rlm_search', { pattern: 'a', colour: 'red' })).toContain('colour');
    expect(taken('rlm_search', '{"pattern":"a","__proto__":"b"}')).toContain('__proto__');
  });

  it('takes whatever fits the schema exactly as it is', () => {
    assert(
      property(
        record(
          {
            pattern: string({ minLength: 1 }),
            max_results: integer({ min: 1, max: 1000 }),
            case_sensitive: boolean(),
            path: string({ minLength: 1 }),
            order: constantFrom('newest', 'oldest'),
          },
          { requiredKeys: ['pattern'] },
        ),
        (given) => {
          const tool = toolOf('rlm_search');
          const wanted = { ok: true, args: tool.args.parse(given), notes: [] };
          expect(checkArguments(given, tool)).toEqual(wanted);
          expect(readArguments(JSON.stringify(given), tool)).toEqual(wanted);
        },
      ),
    );
  });
});

describe('the text', () => {
  test.each<[string, unknown]>([
    [String.raw`{"pattern":"zebra\s\w+"}`, String.raw`zebra\s\w+`],
    ['{"pattern":"zebra\nstripes"}', 'zebra\nstripes'],
    [String.raw`"{\"pattern\":\"zebra\"}"`, 'zebra'],
    ['{}{"pattern":"zebra"}', 'zebra'],
    ['{"pattern":"zebra"}{"pattern":"zebra"}', 'zebra'],
    ['```json\n{"pattern":"zebra"}\n```', 'zebra'],
    ['{"pattern":"zebra",}', 'zebra'],
    ["{'pattern': 'zebra', 'case_sensitive': True}", 'zebra'],
    ['{pattern: "zebra"}', 'zebra'],
    ['{"pattern":"zebra"}</tool_call>', 'zebra'],
    ['"zebra"', 'zebra'],
    [String.raw`{"pattern":"a\.b\/c\u00e9\users"}`, String.raw`a\.b/cé\users`],
    [String.raw`{"pattern":"say \"hi\"\s"}`, String.raw`say "hi"\s`],
  ])('%s', (text, pattern) => {
    expect(taken('rlm_search', text)).toMatchObject({ pattern });
  });

  test.each([
    ['{"pattern":"a"}{"pattern":"b"}', 'several objects'],
    [String.raw`{"pattern":"\bzebra\s"}`, String.raw`at character 13`],
    [String.raw`{"pattern":"\bzebra\s"}`, String.raw`{"pattern":"\\bname\\s"}`],
    [String.raw`{"pattern":"C:\\dir\s"}`, 'two ways'],
    ['{"pattern":"zeb', 'no end'],
    ['{"pattern" "zebra"}', 'at character 12'],
    ['zebra', 'it begins with "zebra"'],
    ['[1,2]', 'do not fit'],
    ['{"a":'.repeat(100), 'deep'],
  ])('%s is refused: %s', (text, reason) => {
    expect(taken('rlm_search', text)).toContain(reason);
  });

  it('an empty text is no arguments', () => {
    expect(taken('rlm_stats', ' ')).toEqual({});
    expect(taken('rlm_stats', 'null')).toEqual({});
  });

  it('never throws, whatever the text', () => {
    const tool = toolOf('rlm_search');
    const piece = constantFrom(
      '{',
      '}',
      '"',
      "'",
      '\\',
      ':',
      ',',
      '[',
      ']',
      'a',
      ' ',
      '\\u12',
      '1',
    );
    assert(
      property(array(piece, { maxLength: 30 }), (pieces) => {
        expect(typeof readArguments(pieces.join(''), tool).ok).toBe('boolean');
      }),
    );
  });
});

describe('the name', () => {
  test.each([
    ['rlm_find', 'rlm_find'],
    ['functions.rlm_find', 'rlm_find'],
    ['RLM_Search', 'rlm_search'],
    ['rlm-find', 'rlm_find'],
    ['rlmFind', 'rlm_find'],
    [' rlm_stats\n', 'rlm_stats'],
    ['default_api:rlm_get_context', 'rlm_get_context'],
    ['mcp__memory__rlm_exec', 'rlm_exec'],
    ['tools/rlm_query', 'rlm_query'],
    ['rlm_stats<|channel|>commentary', 'rlm_stats'],
    ['rlm_forget', 'rlm_forget'],
  ])('%j is %s', (name, plain) => {
    expect(plainOwnName(name)).toBe(plain);
    expect(registry.isOwn(name)).toBe(true);
  });

  test.each([
    'bash',
    'find',
    'functions.find',
    'my_rlm_find',
    'realm_find',
    '',
    '__proto__',
    'constructor',
  ])('%j is none of ours', (name) => {
    expect(registry.isOwn(name)).toBe(false);
  });

  it("a client's own tool stays the client's", () => {
    expect(registry.isOwn('mcp__x__rlm_find', new Set(['mcp__x__rlm_find']))).toBe(false);
    const without = registry.without(new Set(['rlm_find']));
    const offered = new Set(['rlm_find', 'rlm_search']);
    expect(without.isOwn('rlm_find', offered)).toBe(false);
    expect(without.isOwn('RLM_Find', offered)).toBe(false);
    expect(without.isOwn('RLM_Search', offered)).toBe(true);
    expect(registry.isOwn('functions.rlm_find', offered)).toBe(true);
  });
});

describe('what goes back upstream', () => {
  const call = (name: string, text: string) => ({
    id: 'a',
    type: 'function' as const,
    function: { name, arguments: text, extra: 1 },
  });

  it('is the call as it was written, where it can be read', () => {
    for (const text of [
      '{ "pattern": "a" }',
      '{"max_results":"10"}',
      String.raw`{"pattern":"\s"}`,
    ]) {
      const written = call('RLM_Search', text);
      expect(sentBack(written)).toBe(written);
    }
  });

  it('has empty arguments where they are empty or say nothing', () => {
    for (const text of ['', ' ', '{"pattern":"cut', 'nonsense'])
      expect(sentBack(call('rlm_search', text))).toEqual(call('rlm_search', '{}'));
  });

  it('has the plain name where the protocol does not allow the one it has', () => {
    expect(sentBack(call('functions.rlm_find', '{}'))).toEqual(call('rlm_find', '{}'));
  });
});
