import { expect, test } from 'vitest';
import { playMany } from './weave-conversation.ts';

test('in a window that is often too small, lists stay well-formed and only a demotion breaks a prefix', async () => {
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 15);
  await expect(playMany(runs, { windowTokens: 24_000 })).resolves.toBeUndefined();
}, 600_000);

test('where long texts stand whole while there is room, only a demotion breaks a prefix, too', async () => {
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 15);
  await expect(playMany(runs, { windowTokens: 64_000, isRoomy: true })).resolves.toBeUndefined();
}, 600_000);
