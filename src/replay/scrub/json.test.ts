import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scrubArguments } from './arguments.ts';
import { scrubError, scrubJson } from './json.ts';
import { keptWords } from './kept-words.ts';
import { WordScrubber } from './words.ts';

const words = new WordScrubber(keptWords);
const secret = words.text('plutonium');
const other = words.text('uranium');

describe('arguments of our tools', () => {
  it.each([
    [
      'rlm_search',
      '{"pattern": "plutonium \\\\d+", "tool": "bash"}',
      `{"pattern": "${secret} \\\\d+", "tool": "bash"}`,
    ],
    // By the other names that models have for them.
    [
      'rlm_search',
      '{"query":"[Pp]lutonium","limit":"5"}',
      `{"query":"[${secret[0]!.toUpperCase()}${secret[0]}]${secret.slice(1)}","limit":"5"}`,
    ],
    ['rlm_find', '{"needle":"plutonium"}', `{"needle":"${secret}"}`],
    ['functions.rlm_exec', '{"js":"x = \'plutonium\'"}', `{"js":"x = '${secret}'"}`],
    [
      'rlm_get_context',
      '{"entry":"e12","id":12,"line":"340"}',
      '{"entry":"e12","id":12,"line":"340"}',
    ],
    [
      'rlm_stats',
      '{"since":"2h","until":"2026-11-27T10:00:00Z","cursor":"e7"}',
      '{"since":"2h","until":"2026-11-27T10:00:00Z","cursor":"e7"}',
    ],
    [
      'rlm_search',
      '{"aggregate":"count_by","group":[1,"path"],"measures":{"sum":"plutonium"}}',
      `{"aggregate":"count_by","group":[1,"path"],"measures":{"sum":"${secret}"}}`,
    ],
    // What is no entry, no time and no choice is somebody's.
    [
      'rlm_get_context',
      '{"entry":"plutonium","order":"uranium"}',
      `{"entry":"${secret}","order":"${other}"}`,
    ],
    [
      'rlm_search',
      '{"arguments":{"pattern":"plutonium"},"what is plutonium":1}',
      `{"arguments":{"pattern":"${secret}"},"${words.text('what')} ${words.text('is')} ${secret}":1}`,
    ],
  ])('%s %s', (name, args, expected) => {
    expect(scrubArguments(name, args, words)).toBe(expected);
  });
});

it('arguments of others lose all words and stay written as they were', () => {
  const args =
    '{ "plutonium" : [ "uranium\\n", "pl\\u0075tonium", 1e21, 12345678901234567890, null ],"type":"uranium" }';
  const scrubbed = scrubArguments('mcp__uranium', args, words);
  expect(scrubbed).toHaveLength(args.length);
  expect(scrubbed).toMatch(
    /^\{ "\w{9}" : \[ "\w{7}\\n", "..\\u00..\w{6}", 1e21, 12345678901234567890, null \],"\w{4}":"\w{7}" \}$/,
  );
  expect(JSON.parse(scrubbed)[secret]).toEqual([
    `${other}\n`,
    secret,
    1e21,
    Number('12345678901234567890'),
    null,
  ]);
  expect(scrubArguments('x', 'plutonium {', words)).toBe(`${secret} {`);
});

it('what a tool is asked for as an object and as a text becomes the same', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (input) => {
      const plain = JSON.parse(JSON.stringify(input)) as object;
      const held = scrubJson({ type: 'tool_use', input: plain }, words) as { input: object };
      const text = scrubArguments('look', JSON.stringify(plain), words);
      expect(JSON.parse(text)).toEqual(held.input);
    }),
  );
});

it('members of a protocol stay, of schemas too, and what they are called by somebody does not', () => {
  const scrubbed = scrubJson(
    {
      type: 'function',
      model: 'glm-5',
      tool_choice: {
        type: 'allowed_tools',
        mode: 'required',
        tools: [{ type: 'function', name: 'plutonium' }],
      },
      detail: 'low',
      status: 'the plutonium is gone',
      parameters: {
        type: 'object',
        properties: {
          plutonium: { type: 'string', pattern: '^\\d+ plutonium$', enum: ['uranium'] },
          type: { $ref: '#/$defs/uranium' },
        },
        required: ['plutonium'],
        $defs: { uranium: { format: 'date-time', default: { plutonium: 1 } } },
      },
      metadata: { plutonium: '{"uranium":"plutonium","session_id":120,"id":null}' },
      '/home/plutonium': 1,
    },
    words,
  );
  expect(scrubbed).toEqual({
    type: 'function',
    model: 'glm-5',
    tool_choice: {
      type: 'allowed_tools',
      mode: 'required',
      tools: [{ type: 'function', name: secret }],
    },
    detail: 'low',
    status: `${words.text('the')} ${secret} ${words.text('is')} ${words.text('gone')}`,
    parameters: {
      type: 'object',
      properties: {
        [secret]: { type: 'string', pattern: `^\\d+ ${secret}$`, enum: [other] },
        [words.text('type')]: { $ref: `#/$defs/${other}` },
      },
      required: [secret],
      $defs: { [other]: { format: 'date-time', default: { [secret]: 1 } } },
    },
    metadata: { [secret]: `{"${other}":"${secret}","session_id":120,"id":null}` },
    [`/${words.text('home')}/${secret}`]: 1,
  });
});

it.each([
  {
    error: {
      message: 'maximum context length is 128000 tokens, not 130000 of plutonium',
      code: 400,
    },
  },
  { detail: 'Prompt too long: 5000 tokens > 4096 plutonium' },
  { error: { metadata: { raw: '{"error":{"message":"The maximum is 4096 tokens, plutonium"}}' } } },
])('of a failure the numbers stay, and the words by which it is understood: %j', (body) => {
  const numbers = (value: unknown): unknown => JSON.stringify(value).match(/\d+/g);
  const scrubbed = scrubError(body, words);
  expect(numbers(scrubbed)).toEqual(numbers(body));
  expect(JSON.stringify(scrubbed)).toMatch(/tokens/);
  expect(JSON.stringify(scrubbed)).not.toContain('plutonium');
  // In a stream it is a member of an event.
  expect(scrubJson({ error: body }, words)).toEqual({ error: scrubbed });
});

/** Members of requests and answers in all protocols, and some that nobody knows. */
const members = fc.constantFrom(
  ...'content text input output arguments name id call_id metadata properties parameters schema thinking data signature summary url image_url file_data filename title detail mode tool_choice message error system instructions user unknown'.split(
    ' ',
  ),
);

/** Texts with the needle in them, as clients put them anywhere. */
const texts = fc
  .tuple(
    fc.string({ maxLength: 5 }),
    fc.constantFrom(
      'zyxwvu-plutonium',
      '{"plutonium":"Plutonium"}',
      'data:image/png;base64,plutoniumplutoniumplu',
      'rlm_plutonium',
      'data:plutonium',
    ),
  )
  .map(([before, needle]) => before + needle);

it('a word stands nowhere, wherever it stood', () => {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      texts,
      fc.integer(),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.oneof(
          members,
          texts.map((text) => `/${text}`),
        ),
        tie('value'),
        { maxKeys: 4 },
      ),
    ),
  }));
  fc.assert(
    fc.property(value, (body) => {
      expect(JSON.stringify(scrubJson(body, words)).toLowerCase()).not.toContain('pluto');
    }),
  );
});
