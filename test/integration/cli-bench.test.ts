import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BenchCell } from '../../src/bench/questions/cells.ts';
import { CliHome } from '../support/cli.ts';

test('bench asks, writes log, results and plot, says who answered, and goes on where it was', async () => {
  using home = new CliHome();
  const out = join(home.folder, 'results');
  const bench = async (...more: readonly string[]) =>
    home.runHere(
      ['bench', 'niah', '--sizes', '20K', '--seeds', '1', '--out', out, ...more],
      // A busy machine must not turn a search into a partial one.
      { RLM_SEARCH_DEADLINE_MS: '20000' },
    );
  const first = await bench('--questions', 'single');
  expect(first.stderr).toContain('1 questions to ask (scripted policy, not a model)');
  expect(first.stdout).toContain('rlm-opencode bench niah (scripted policy, not a model)');
  expect(first.stdout).toMatch(/\| +20K \| +rlm \| +100\.0 \|/);
  expect(await readFile(join(out, 'niah.svg'), 'utf8')).toContain('scripted policy, not a model');

  const log = join(out, 'niah.cells.jsonl');
  const again = await bench('--questions', 'single,multi-key', '--json');
  expect(again.stderr).toContain('1 questions to ask');
  const cells = (await readFile(log, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as BenchCell);
  expect(cells.map((cell) => [cell.question, cell.score, cell.upstreamCalls])).toEqual([
    ['single', 1, 2],
    ['multi-key', 1, 2],
  ]);
  expect(first.stdout).toContain('Not asked: multi-key, multi-value, distractors, paraphrased.');
  expect(JSON.parse(again.stdout)).toMatchObject({
    notAsked: ['multi-value', 'distractors', 'paraphrased'],
    kind: 'niah',
    rows: [{ trials: 2, failures: 0 }],
  });
});

test('bench spends nothing on a real upstream before it is told to', async () => {
  using home = new CliHome();
  const { stderr, stdout, code } = await home.runHere(
    ['bench', 'hops', '--sizes', '20K', '--seeds', '2', '--out', join(home.folder, 'results')],
    { RLM_UPSTREAM_BASE_URL: 'http://127.0.0.1:9/v1', RLM_UPSTREAM_MODEL: 'dear' },
  );
  expect(code).toBe(0);
  expect(stderr).toMatch(/8 questions to ask \(.*dear\): about [\d,]+ prompt/);
  expect(stderr).toContain('--yes');
  expect(stdout).toBe('');
});

test('ask stores files for one question, answers, and leaves nothing behind', async () => {
  using home = new CliHome();
  const file = join(home.folder, 'notes.txt');
  await writeFile(file, `${'nothing here\n'.repeat(2000)}the code of "zeta-9" is 4711\n`);
  const plain = await home.runHere(['ask', 'What is the code of "zeta-9"?', '--file', file]);
  expect(plain.stdout).toContain('is 4711');
  expect(plain.stderr).toBe('');
  const json = await home.runHere([
    'ask',
    'What is the code of "zeta-9"?',
    '--file',
    file,
    '--json',
  ]);
  const answer = JSON.parse(json.stdout) as {
    answer: string;
    steps: string[];
    usage: { rlm: { steps: number } };
  };
  expect(answer.answer).toContain('is 4711');
  expect(answer.usage.rlm.steps).toBe(answer.steps.length + 1);
  const sessions = await home.runHere(['sessions', '--json']);
  expect(JSON.parse(sessions.stdout)).toEqual([]);
});

test('ask says what is missing', async () => {
  using home = new CliHome();
  const nothing = await home.runHere(['ask', 'What?']);
  expect(nothing.code).toBe(2);
  expect(nothing.stderr).toContain('rlm-opencode ingest');
  const file = await home.runHere(['ask', 'What?', '--file', 'no-such-file']);
  expect(file.code).toBe(2);
  expect(file.stderr).toContain('no-such-file');
});
