import { expect, it } from 'vitest';
import { CliHome } from '../support/cli.ts';
import { calling, clientTools, longText, resultOf, user } from '../support/conversation.ts';

it('a second start in the background names the server that runs, and leaves it', async () => {
  using home = new CliHome();
  const started = await home.run(['serve', '--background']);
  const again = await home.run(['serve', '--background']);
  expect(again).toMatchObject({ code: 0, stderr: '' });
  const address = started.stdout.trim().split(' ').at(-1) ?? '';
  expect(again.stdout).toContain(`is listening on ${address} already`);
  expect((await home.runHere(['stop'])).stdout).toBe(`Stopped the server at ${address}.\n`);
});

it('doctor tells of a server that could not store something', async () => {
  using home = new CliHome();
  const env = { RLM_STORE_MAX_BYTES: '1048576' };
  const { url, child, result } = await home.serve(env);
  const before = await home.runHere(['doctor'], env);
  expect(before).toMatchObject({ code: 0 });
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-rlm-directory': '/projects/full' },
    body: JSON.stringify({
      model: 'm',
      tools: clientTools,
      messages: [user('go'), calling('c1', 'bash', {}), resultOf('c1', longText(2_000_000))],
    }),
  });
  expect(response.status).toBe(200);
  await response.text();
  const { code, stdout } = await home.runHere(['doctor'], env);
  expect(code).toBe(1);
  expect(stdout).toMatch(/fail {2}server: .*could not store something.*store_full/);
  child.kill('SIGTERM');
  expect((await result).code).toBe(0);
});
