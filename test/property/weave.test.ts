import { test } from 'vitest';
import { playMany } from './weave-conversation.ts';

test('whatever a client does to its history, the upstream gets a well-formed list with every hidden step verbatim', async () => {
  await playMany(Number(process.env['RLM_PROPERTY_RUNS'] ?? 25));
}, 600_000);
