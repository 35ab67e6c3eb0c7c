import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allTexts, projectSession, temporaryData } from '../../../test/faults/store-harness.ts';
import type { ImportOptions, ImportReport, Sessions } from '../types.ts';

/** The archive of some sessions, in one piece. */
async function exported(sessions: Sessions, ...ids: readonly string[]): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const { bytes } of sessions.export(ids)) if (bytes !== undefined) pieces.push(bytes);
  return Buffer.concat(pieces);
}

async function* inPieces(bytes: Buffer, pieceBytes = 1_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function imported(
  sessions: Sessions,
  archive: Buffer,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const work = sessions.import(inPieces(archive), options);
  let step = await work.next();
  while (step.done !== true) step = await work.next();
  return step.value;
}

test('a store goes to another data directory, with texts, chats, originals and its directory', async () => {
  await using from = await temporaryData();
  await using to = await temporaryData();
  await using sessions = await from.open();
  const session = await projectSession(sessions);
  await session.store.append([
    { text: 'first\n', kind: 'tool_result', tool: 'bash', chatId: 'c', toolCallId: 't1' },
    { text: 'lone \ud800', kind: 'tool_result' },
    { text: '', kind: 'message' },
  ]);
  await session.store.append([
    { text: 'first\n', kind: 'tool_result', chatId: 'c', toolCallId: 't2' },
  ]);
  await session.memory.put([{ key: 'chat', value: { known: [1, 2] } }]);
  await sessions.chats.put([{ key: 'directory:c', value: '/project' }]);
  await using others = await to.open();
  const report = await imported(others, await exported(sessions, session.id));
  expect(report.sessions).toEqual([
    { session: session.id, from: session.id, role: 'store', entries: 3, directory: '/project' },
  ]);
  const copy = await projectSession(others);
  expect(await allTexts(copy)).toEqual(await allTexts(session));
  expect(copy.store.entries).toEqual(session.store.entries);
  expect(copy.store.outputsOf('c', 't2')).toEqual(session.store.outputsOf('c', 't2'));
  expect(await copy.memory.get('chat')).toEqual({ known: [1, 2] });
  expect(await others.chats.get('directory:c')).toBe('/project');
  expect(await Array.fromAsync(copy.store.readOriginal(copy.store.entries[1]!))).toEqual(
    await Array.fromAsync(session.store.readOriginal(session.store.entries[1]!)),
  );
  expect(await readdir(join(to.dataDir, 'importing'))).toEqual([]);
});
