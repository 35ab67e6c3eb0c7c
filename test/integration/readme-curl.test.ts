import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { longText, outputRequest } from '../support/conversation.ts';
import { startProxy } from '../support/proxy.ts';

it('the commands that the README shows for curl do what it says', async () => {
  const readme = await readFile(resolve(import.meta.dirname, '../../README.md'), 'utf8');
  const shown = /^curl -N [\s\S]*?'$/m.exec(readme.replaceAll('\\\n', ''))?.[0] ?? '';
  await using proxy = await startProxy();
  const stored = `${longText(20_000)}\n12:00 deadlock between worker 3 and 4\n${longText(5_000)}`;
  const there = { 'x-rlm-directory': '/home/me/project' };
  await proxy.ask({ messages: outputRequest(stored).messages.slice(1) }, there);
  const run = async (command: string): Promise<string> => {
    const args = ['-c', command.replaceAll('http://127.0.0.1:8768', proxy.origin)];
    return (await promisify(execFile)('sh', args)).stdout;
  };
  const streamed = await run(shown);
  const pieces = streamed
    .split('\n\n')
    .filter((frame) => frame.startsWith('data: {'))
    .map((frame) => JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] });
  expect(pieces.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toContain(
    '12:00 deadlock between worker 3 and 4',
  );
  expect(streamed.trimEnd().endsWith('data: [DONE]')).toBe(true);
  const whole = await run(shown.replace('"stream": true,', ''));
  expect(JSON.parse(whole)).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { content: expect.stringContaining('12:00 deadlock') } }],
  });
});
