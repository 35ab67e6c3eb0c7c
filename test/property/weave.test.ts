import { expect, test } from 'vitest';
import { playMany } from './weave-conversation.ts';

test('whatever a client does to its history, the upstream gets a well-formed list with every hidden step verbatim', async () => {
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 25);
  await expect(playMany(runs)).resolves.toBeUndefined();
}, 600_000);

test('with secrets masked all of that holds, too, and none that a client or a model tells is ever upstream', async () => {
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 15);
  await expect(playMany(runs, { hasSecrets: true })).resolves.toBeUndefined();
}, 600_000);
