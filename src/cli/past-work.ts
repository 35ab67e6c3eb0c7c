import { join, resolve } from 'node:path';
import { claudeCode } from '../clients/claude-code.ts';
import { codex } from '../clients/codex.ts';
import { homeOf } from '../clients/home.ts';
import { movingVariables } from '../clients/spill-file.ts';
import { machineOf } from '../config/places.ts';
import { ProxyError } from '../errors.ts';
import type { PastCounts, PastReport } from '../past/take-past.ts';
import { countOf, grouped } from '../base/numbers.ts';
import { tellUnindexed, type Unindexed } from './ingest.ts';
import { withOperations } from './operations-client.ts';
import { ProgressLine } from './progress-line.ts';
import { exitCodes, finish } from './run.ts';
import { jsonText, print, printError } from './screen.ts';
import type { PastFlags } from './past-clients.ts';
import { projectOf } from './session-flags.ts';

/** Takes a client's history into the store of the project, or into those of all. */
export async function ingestPast(flags: PastFlags): Promise<void> {
  if (flags.session !== undefined)
    throw new ProxyError(
      'invalid_request',
      'A history goes into the stores of its directories: name one with --directory, not with --session.',
    );
  const { env, folders } = machineOf();
  const places = { env, homeDir: folders.home };
  const line = new ProgressLine();
  await withOperations(flags, async (call) => {
    const args = {
      from: flags.from,
      folder: resolve(flags.history ?? historyOf(flags.from)),
      bases: { data: folders.dataHome, home: folders.home, temp: folders.temp },
      variables: movingVariables(places),
      ...(flags.allProjects === true ? {} : { directory: projectOf(flags) }),
      isDry: flags.dryRun === true,
    };
    const report = (await call('past-work', args, (progress) =>
      line.text(countsText(progress as PastCounts, args.isDry)),
    )) as Told;
    line.clear();
    print(flags.json === true ? `${jsonText(report, 2)}\n` : reportText(report, args));
    for (const { place, reason } of report.told) printError(`${place}: ${reason}\n`);
    const more = report.faults - report.told.length;
    if (more > 0) printError(`… and ${grouped(more)} more.\n`);
    if (report.faults > 0) finish(exitCodes.failed);
    tellUnindexed(report);
  });

  function historyOf(from: PastFlags['from']): string {
    switch (from) {
      case 'opencode':
        return join(folders.dataHome, 'opencode');
      case 'claude-code':
        return homeOf(claudeCode, places);
      case 'codex':
        return homeOf(codex, places);
    }
  }
}

type Told = PastReport & Unindexed & { readonly name: string; readonly folder: string };

function countsText({ conversations, stored, chars, held }: PastCounts, isDry: boolean): string {
  const what = isDry ? 'to store' : 'stored';
  const size = stored === 0 ? '' : ` (${countOf(chars, 'character')})`;
  return `${countOf(conversations, 'conversation')}, ${countOf(stored, 'output')} ${what}${size}, ${grouped(held)} held already`;
}

function reportText(
  report: Told,
  { directory, isDry }: { readonly directory?: string; readonly isDry: boolean },
): string {
  const { name, conversations, directories, stored, short, whole, cut } = report;
  const others = directories.filter((each) => each.directory !== directory);
  const lines: string[] = [];
  if (conversations === 0 && directory !== undefined)
    lines.push(`${name} has no conversations of ${directory}.`);
  else lines.push(`${name}: ${countsText(report, isDry)}.`);
  const details = [
    [whole, 'whole from files that the client had saved'],
    [cut, 'of which the client has kept a part'],
    [short, 'under 500 characters, left out'],
  ] as const;
  for (const [count, what] of details) if (count > 0) lines.push(`  ${grouped(count)} ${what}`);
  if (directory === undefined || (conversations === 0 && others.length > 0)) {
    if (directory !== undefined) lines.push('It has some of:');
    for (const each of others)
      lines.push(
        `  ${each.directory}: ${countOf(each.conversations, 'conversation')}${directory === undefined ? `, ${countOf(each.stored, 'output')}` : ''}`,
      );
  } else if (others.length > 0)
    lines.push(
      `  ${others.length === 1 ? '1 other directory has' : `${grouped(others.length)} other directories have`} conversations; --all-projects takes them too, each into its own store`,
    );
  if (isDry && stored > 0) lines.push('Nothing was stored: run it again without --dry-run.');
  return `${lines.join('\n')}\n`;
}
