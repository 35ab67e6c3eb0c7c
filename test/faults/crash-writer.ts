import { writeSync } from 'node:fs';
import { randomIds, systemClock } from '../../src/clock.ts';
import { silentLogger } from '../../src/log.ts';
import { openSessions } from '../../src/store/sessions.ts';
import { crashText } from './crash-text.ts';
import { projectSession } from './store-harness.ts';

/**
 * `node crash-writer.ts DATA_DIR`: stores text after text until it is killed. Says `N` on stdout
 * once text number N is committed, and `m N` once the chat memory holds N.
 */
const sessions = await openSessions({
  dataDir: process.argv[2]!,
  clock: systemClock,
  ids: randomIds,
  log: silentLogger(),
  // So that texts in pieces take the way of those that are too large to hold.
  heldTextBytes: 50_000,
});
const { store, memory } = await projectSession(sessions);

for (let next = store.entries.length; ;) {
  if (next % 5 === 4) {
    const number = next;
    const bytes = Buffer.from(crashText(number));
    const chunks = (async function* chunks() {
      for (let at = 0; at < bytes.length; at += 70_000) yield bytes.subarray(at, at + 70_000);
    })();
    await store.appendStream({ kind: 'file', chunks });
    writeSync(1, `${number}\n`);
    next += 1;
  } else {
    const numbers = [next, next + 1, next + 2].filter((number) => number % 5 !== 4);
    const batch = numbers.slice(0, numbers.findIndex((number) => number % 5 === 3) + 1 || 3);
    const texts = batch.map((number) => ({
      text: crashText(number),
      kind: 'tool_result' as const,
    }));
    await store.append([...texts, texts[0]!]);
    writeSync(1, `${batch.at(-1)!}\n`);
    next = batch.at(-1)! + 1;
  }
  await memory.put([{ key: `chat-${next}`, value: next }]);
  writeSync(1, `m ${next}\n`);
}
