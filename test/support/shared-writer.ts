import { writeSync } from 'node:fs';
import { openMachine, sharedStore } from './shared-machines.ts';

/**
 * `node shared-writer.ts DATA_DIR URL PROJECT RUN`: stores one text after the other until it is
 * killed. Says `RUN N` on stdout once its text number N is kept.
 */
const [, , dataDir = '', url = '', project = '', run = ''] = process.argv;
const machine = await openMachine(dataDir, url, { waitMs: 2_000 });
const { store, memory } = await sharedStore(machine, project);

for (let number = 1; ; number += 1) {
  const lines = number % 20 === 19 ? 60_000 : 1 + ((number * 37) % 400);
  await store.append([
    {
      kind: 'tool_result',
      tool: 'bash',
      chatId: 'load',
      toolCallId: `call_${run}_${number}`,
      text: `text ${number} of run ${run}\n`.repeat(lines),
    },
  ]);
  writeSync(1, `${run} ${number}\n`);
  await memory.put([{ key: `run ${run}`, value: number }]);
}
