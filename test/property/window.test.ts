import { expect, test } from 'vitest';
import { playMany } from './weave-conversation.ts';

test('in a window that is often too small, lists stay well-formed and only a demotion breaks a prefix', async () => {
  const runs = Number(process.env['RLM_PROPERTY_RUNS'] ?? 15);
  await expect(playMany(runs, 24_000)).resolves.toBeUndefined();
}, 600_000);
