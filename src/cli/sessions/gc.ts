import { Command } from 'commander';
import { countOf } from '../../base/numbers.ts';
import type { StoreBounds, TidyOutcome } from '../../store/types.ts';
import { addDataDirFlag } from '../data-dir-flag.ts';
import { size } from '../numbers.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson, printProse } from '../screen.ts';
import { shortPath } from '../start-text.ts';

/** `rlm-opencode sessions gc`: has the oldest texts go where the stores are out of bounds. */
export function gcCommand(): Command {
  const command = new Command('gc')
    .description('make room: the oldest texts that are not pinned go, as far as quotas ask for it')
    .option('--dry-run', 'only say what would go, and why')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command).action(makeRoom);
}

/** What the operation `gc` answers. */
type Answer = TidyOutcome & { readonly bounds: StoreBounds };

async function makeRoom(flags: {
  dryRun?: boolean;
  json?: boolean;
  dataDir?: string;
}): Promise<void> {
  const isTrial = flags.dryRun === true;
  await withOperations(flags, async (call) => {
    const answer = (await call('gc', { dryRun: isTrial })) as Answer;
    if (flags.json === true) printJson(answer, 2);
    else {
      print(storesText(answer));
      printProse(sumText(answer, isTrial));
    }
  });
}

function storesText({ stores }: Answer): string {
  const lines: string[] = [];
  for (const store of stores) {
    const { session, directory, quota, age, bytes, keptBytes, pinnedBytes, isFull } = store;
    lines.push(session, `  ${directory === undefined ? '(no directory)' : shortPath(directory)}`);
    const reasons = [
      ...(quota === 0 ? [] : [`${countOf(quota, 'text')} to be within its quota`]),
      ...(age === 0 ? [] : [`${countOf(age, 'text')} too old`]),
    ];
    if (reasons.length > 0) lines.push(`  ${reasons.join(', ')}: ${size(bytes)}`);
    const pinned = pinnedBytes === 0 ? '' : `, ${size(pinnedBytes)} of it pinned`;
    lines.push(`  ${size(keptBytes)} stay${pinned}`);
    if (isFull === true) lines.push('  full: what is left is pinned, or not an hour old');
  }
  return lines.map((line) => `${line}\n`).join('');
}

function sumText({ texts, bytes, keptBytes, isAllFull, bounds }: Answer, isTrial: boolean): string {
  const held = `${size(keptBytes)} of text`;
  if (Object.values(bounds).every((bound) => bound === undefined)) {
    return `No bounds are set, so nothing goes: the stores hold ${held}. Settings: store.quotaBytes, store.quotaAllBytes, store.maxAgeDays.\n`;
  }
  const full = isAllFull
    ? 'All stores together are full: what is left is pinned, or not an hour old.\n'
    : '';
  if (texts === 0) return `${full}Nothing has to go: the stores hold ${held}.\n`;
  const what = `${countOf(texts, 'text')}, ${size(bytes)}`;
  return isTrial
    ? `${full}Would go: ${what}; ${held} would stay. Texts that are to stay: rlm-opencode sessions pin.\n`
    : `${full}Gone: ${what}; ${held} stay.\n`;
}
