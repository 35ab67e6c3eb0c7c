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

const stats = JSON.stringify({ characters: 100, entries: 1 });
const hit = { line: 7, text: 'the launch code is 4711', offset: 900, entry: 'e1', path: 'a.txt' };
const found = JSON.stringify({ matches: [hit], total: 1 });

it('looks at the store, searches for what is quoted, reads around it, and says that it is a script', () => {
  const question = 'What is the "launch code"?';
  expect(lookUpPolicy(request(question))?.calls?.[0]?.name).toBe('rlm_stats');
  expect(lookUpPolicy(request(question, stats))?.calls?.[0]).toMatchObject({
    name: 'rlm_search',
    args: { pattern: 'launch code' },
  });
  expect(lookUpPolicy(request(question, stats, found))?.calls?.[0]).toMatchObject({
    name: 'rlm_get_context',
    args: { offset: 600 },
  });
  const answer = lookUpPolicy(request(question, stats, found, '{}'))?.text ?? '';
  expect(answer).toContain(scriptNotice);
  expect(answer).toContain(hit.text);
  expect(answer).toContain('line 7, offset 900, entry e1, a.txt');
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
  ];
  expect(newestQuestion([{ role: 'user', content: parts }])).toBe('What is the `launch code`?');
  expect(lookUpPolicy(request(parts, stats))?.calls?.[0]?.args).toMatchObject({
    pattern: 'launch code',
  });
});

it('answers from the text and not from the question that is stored with it', () => {
  const own = { ...hit, text: 'What does it say about "beacon-7741"?' };
  const result = JSON.stringify({ matches: [own, hit], total: 2 });
  const answer = lookUpPolicy(request(own.text, stats, result, '{}'))?.text ?? '';
  expect(answer).toContain(hit.text);
});

it('without tools says what to set', () => {
  const text = lookUpPolicy({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })?.text;
  expect(text).toContain('RLM_UPSTREAM_BASE_URL');
});
