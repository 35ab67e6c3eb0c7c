import { expect, test } from 'vitest';
import { pageOf } from '../support/faults/seen.ts';
import { sharedSections } from '../support/faults/shared-rows.ts';
import { noPostgres } from '../support/postgres.ts';

const intro = `The rest of [what you see when something fails](faults.md). Each row was run with a PostgreSQL of its
own; where there is none, this page is left as it is, and its test is skipped and says so
(\`test/integration/fault-table-shared.test.ts\`). A full disk of the database, and a standby, are the
codes with which it refuses then; all else is as named.`;

/** As `fault-table.test.ts`, for what needs PostgreSQL. */
test.skipIf(noPostgres !== undefined)(
  `each fault of a shared store is seen as docs/faults-shared.md says (${noPostgres ?? 'PostgreSQL'})`,
  async () => {
    const page = {
      title: 'What you see when a store that machines share fails',
      intro,
      sections: await sharedSections(),
    };
    await expect(pageOf(page)).toMatchFileSnapshot('../../docs/faults-shared.md');
  },
);
