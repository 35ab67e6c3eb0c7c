import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomIds, systemClock } from '../clock.ts';
import { silentLogger } from '../log.ts';
import { openSessions } from '../store/sessions.ts';
import { fillStore, KnownTexts } from './earlier-texts.ts';
import type { RecordedTurn } from './recorded-turn.ts';

test('texts that are known get the numbers and places that they had, whatever is not known before, between and behind them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rlm-earlier-'));
  const sessions = await openSessions({
    dataDir: folder,
    clock: systemClock,
    ids: randomIds,
    log: silentLogger(),
  });
  let round = 0;
  const texts = fc.uniqueArray(
    fc.record({ text: fc.string({ unit: 'binary', minLength: 20 }), isKnown: fc.boolean() }),
    { selector: ({ text }) => text, minLength: 1, maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(texts, fc.nat(3), async (given, skipped) => {
      round += 1;
      const storeOf = async (name: string) =>
        (await sessions.forDirectory(`/${name}-${round}`, { create: true }))!.store;
      const store = await storeOf('recorded');
      const entries = await store.append(
        given.map(({ text }) => ({
          kind: 'tool_result' as const,
          text: `${text.toWellFormed()}\nx`,
        })),
      );
      const shown = entries.flatMap((entry, at) => {
        const storedAt = '2026-01-01T00:00:00Z';
        const told = { session: store.sessionId, storedAt, text: `entry-${entry.id}.txt` };
        return given[at]!.isKnown ? [Object.assign({}, entry, told)] : [];
      });
      const turn = {
        entries: shown,
        text: async ({ id }: { readonly id: string }) =>
          Buffer.from(await store.readEntry(store.entry(id)!)),
      } as unknown as RecordedTurn;
      const known = new KnownTexts();
      known.add(turn);
      const again = await storeOf('again');
      // Some of them have been stored by turns that were played before.
      await again.append(
        given
          .slice(0, Math.min(skipped, given.length))
          .map(({ text }) => ({ kind: 'tool_result', text: `${text.toWellFormed()}\nx` })),
      );
      const { bytes: _, ...totals } = store.totals;
      await fillStore(again, { id: store.sessionId, ...totals }, known);
      const { bytes: __, ...filled } = again.totals;
      expect(filled).toEqual(totals);
      for (const { id, offsetChars, lineNumber, sha256 } of shown)
        expect(again.entry(id)).toMatchObject({ offsetChars, lineNumber, sha256 });
    }),
    { numRuns: 40 },
  );
  await sessions[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
