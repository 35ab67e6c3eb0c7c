import { expect, it } from 'vitest';
import type { PlainRequest, Message } from '../wire/types.ts';
import { lookUpPolicy, newestQuestion, scriptNotice } from './demo-policy.ts';

const tools = ['rlm_stats', 'rlm_search', 'rlm_find', 'rlm_get_context'].map((name) => ({
  type: 'function',
  function: { name },
}));

function request(question: Message['content'], ...results: readonly string[]): PlainRequest {
  const messages: Message[] = [{ role: 'user', content: question ?? null }];
  for (const content of results) messages.push({ role: 'tool', tool_call_id: 'c', content });
  return { model: 'm', tools, messages };
}

const stats = '100 characters, 7 lines, 1 entry\nby kind: file 1 (100 characters)';
const code = 'the launch code is 4711';
const found = `1 matching line:\n\ne1 a.txt\n7: ${code}`;

it('looks at the store, searches for what is quoted, reads around it, and says that it is a script', () => {
  const question = 'What is the "launch code"?';
  expect(lookUpPolicy(request(question))?.calls?.[0]?.name).toBe('rlm_stats');
  expect(lookUpPolicy(request(question, stats))?.calls?.[0]).toMatchObject({
    name: 'rlm_search',
    args: { pattern: 'launch code' },
  });
  expect(lookUpPolicy(request(question, stats, found))?.calls?.[0]).toMatchObject({
    name: 'rlm_get_context',
    args: { entry: 'e1', line: 7 },
  });
  const answer = lookUpPolicy(request(question, stats, found, '[e1]'))?.text ?? '';
  expect(answer).toContain(scriptNotice);
  expect(answer).toContain(code);
  expect(answer).toContain('e1 (a.txt), line 7');
});

it('takes the question and not the files before it or the reminders after it', () => {
  const parts = [
    {
      type: 'text',
      text: 'Called the Read tool with the following input: {"filePath":"/a/big.txt"}',
    },
    { type: 'text', text: 'line "one" of the file' },
    { type: 'text', text: 'What is the `launch code`?' },
    { type: 'text', text: '<system-reminder>\nplan mode\n</system-reminder>' },
    {
      type: 'text',
      text: '\n\n<environment_details>\nWorking directory: /a\n</environment_details>',
    },
  ];
  expect(newestQuestion([{ role: 'user', content: parts }])).toBe('What is the `launch code`?');
  expect(lookUpPolicy(request(parts, stats))?.calls?.[0]?.args).toMatchObject({
    pattern: 'launch code',
  });
});

it('answers from the text and not from the question that is stored with it', () => {
  const own = 'What does it say about "beacon-7741"?';
  const result = `2 matching lines:\n\ne2 user_text ${own}\n1: ${own}\n\ne1 a.txt\n7: ${code}`;
  const answer = lookUpPolicy(request(own, stats, result, '[e1]'))?.text ?? '';
  expect(answer).toContain(code);
});

it('reads around the match in a line that is too long to be shown', () => {
  const long = `1 matching line:\n\ne1 a.json\n1: …${code}… @900`;
  expect(lookUpPolicy(request('The "launch code"?', stats, long))?.calls?.[0]).toMatchObject({
    args: { offset: 600 },
  });
});

it('without tools says what to set', () => {
  const text = lookUpPolicy({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })?.text;
  expect(text).toContain('rlm-opencode init');
});

it.each([
  'No matching line was found, but not everything was searched.',
  '{"error":{"code":"timeout","message":"It took too long."}}',
])('does not call absent what was not searched to its end: %s', (result) => {
  const answer = lookUpPolicy(request('Where is "zeta-9"?', stats, result))?.text ?? '';
  expect(answer).not.toContain('Nothing in it');
  expect(answer).toContain(result);
});

it('says that nothing is there where all was searched', () => {
  const result = '0 matching lines: all 100 characters were searched.';
  const answer = lookUpPolicy(request('Where is "zeta-9"?', stats, result))?.text ?? '';
  expect(answer).toContain('Nothing in it contains "zeta-9".');
});
