import { expect, test } from 'vitest';
import { archiveSections } from '../support/faults/archive-rows.ts';
import { commandSections } from '../support/faults/command-rows.ts';
import { diskSections } from '../support/faults/disk-rows.ts';
import { indexSections } from '../support/faults/index-rows.ts';
import { ingestSections } from '../support/faults/ingest-rows.ts';
import { providerSections } from '../support/faults/provider-rows.ts';
import { pageOf } from '../support/faults/seen.ts';

const intro = `Each row was run: a client, the proxy and a provider that fails over sockets, or a disk that fails
under it. \`npm run docs\` runs them again and writes this page; a test says when it is not true any
more (\`test/integration/fault-table.test.ts\`). \`DIR\`, \`PORT\` and \`ID\` stand for what is another one
in each run; the line that the log has for each turn is left out. Of a store that machines share:
[faults-shared.md](faults-shared.md).

Not in it, because no user waits for an answer: the upkeep that makes room, compares texts and ends
what a crash has left, and each single write of a store, of which every one is made to fail in
\`test/faults/\`; and what benchmarks write. Nor is the file of a key that is typed into \`init\`, which
asks for one in a terminal only.`;

/**
 * Each row of docs/faults.md is what came of a run: `vitest run test/integration/fault-table.test.ts
 * -u` (or `npm run docs`) writes down what is seen now.
 */
test('each fault is seen as docs/faults.md says', async () => {
  const sections = [
    ...(await providerSections()),
    ...(await diskSections()),
    ...(await indexSections()),
    ...(await commandSections()),
    ...(await ingestSections()),
    ...(await archiveSections()),
  ];
  await expect(
    pageOf({ title: 'What you see when something fails', intro, sections }),
  ).toMatchFileSnapshot('../../docs/faults.md');
});
