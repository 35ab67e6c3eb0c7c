import { expect, test } from 'vitest';
import { archiveSections } from '../support/faults/archive-rows.ts';
import { commandSections } from '../support/faults/command-rows.ts';
import { diskSections } from '../support/faults/disk-rows.ts';
import { indexSections } from '../support/faults/index-rows.ts';
import { ingestSections } from '../support/faults/ingest-rows.ts';
import { providerSections } from '../support/faults/provider-rows.ts';
import type { Row, Section } from '../support/faults/seen.ts';

function pageOf(sections: readonly Section[]): string {
  const row = (cells: Row): string =>
    `| ${cells.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`;
  const parts = sections.map(({ title, text, head, rows }) =>
    [`## ${title}\n`, `${text}\n`, row(head), row(head.map(() => '---')), ...rows.map(row)].join(
      '\n',
    ),
  );
  return `# What you see when something fails

Each row was run: a client, the proxy and a provider that fails over sockets, or a disk that fails
under it. \`npm run docs\` runs them again and writes this page; a test says when it is not true any
more (\`test/integration/fault-table.test.ts\`). \`DIR\`, \`PORT\` and \`ID\` stand for what is another one
in each run; the line that the log has for each turn is left out.

${parts.join('\n\n')}
`;
}

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
  for (const { head, rows } of sections)
    for (const cells of rows) expect(cells).toHaveLength(head.length);
  await expect(pageOf(sections)).toMatchFileSnapshot('../../docs/faults.md');
});
