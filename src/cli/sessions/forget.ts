import { Command } from 'commander';
import { countOf, grouped } from '../../base/numbers.ts';
import type { ForgetAnswer } from '../../operations/forget.ts';
import { size } from '../numbers.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson, printProse } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';

interface ForgetFlags extends SessionFlags {
  readonly pattern?: string;
  readonly fixedStrings?: boolean;
  readonly ignoreCase?: boolean;
  readonly whole?: boolean;
  readonly secrets?: boolean;
  readonly tool?: string;
  readonly path?: string;
  readonly olderThan?: string;
  readonly mayComeAgain?: boolean;
  readonly undoBlock?: string;
  readonly yes?: boolean;
}

/**
 * `rlm-opencode sessions forget`: takes texts away for good. Without `--yes` it only says which.
 */
export function forgetCommand(): Command {
  const command = new Command('forget')
    .description(
      'overwrite stored texts for good, here and in every store that shares them; without --yes it only says what would go',
    )
    .argument('[entries...]', 'e7, e7-e12, or lines of one: e7:100-200')
    .option('-e, --pattern <regex>', 'what this matches, wherever it stands')
    .option('-F, --fixed-strings', 'the pattern is plain text')
    .option('-i, --ignore-case', 'A and a are the same in the pattern')
    .option('--secrets', 'keys, tokens and passwords, by their usual forms')
    .option('--whole', 'the whole texts in which the pattern matches, or a secret stands')
    .option('--tool <name>', 'outputs of this tool')
    .option('--path <path>', 'texts of this file, or of files that fit it')
    .option('--older-than <time>', 'stored before: 30d, 12h, 2026-11-01')
    .option('--may-come-again', 'the same text may be stored when a client sends it again')
    .option('--undo-block <entry>', 'let the text of this entry come again')
    .option('--dry-run', 'only say what would go (so it is without --yes)')
    .option('--yes', 'yes, forget it');
  return addSessionFlags(command).action(async (entries: string[], flags: ForgetFlags) => {
    if (flags.undoBlock === undefined) await forgetTexts(entries, flags);
    else await undoBlock(flags.undoBlock, flags);
  });
}

async function forgetTexts(
  entries: readonly string[],
  flags: ForgetFlags & { readonly dryRun?: boolean },
): Promise<void> {
  const isTrial = flags.yes !== true || flags.dryRun === true;
  await withOperations(flags, async (call) => {
    const answer = (await call('forget', {
      ...choiceOf(flags),
      entries,
      ...(flags.pattern !== undefined && { pattern: flags.pattern }),
      literal: flags.fixedStrings === true,
      ignoreCase: flags.ignoreCase === true,
      whole: flags.whole === true,
      secrets: flags.secrets === true,
      ...(flags.tool !== undefined && { tool: flags.tool }),
      ...(flags.path !== undefined && { path: flags.path }),
      ...(flags.olderThan !== undefined && { until: flags.olderThan }),
      mayComeAgain: flags.mayComeAgain === true,
      isTrial,
    })) as ForgetAnswer | null;
    if (flags.json === true) printJson(answer, 2);
    else if (answer === null) printProse('Nothing is stored here yet.\n');
    else print(answerText(answer));
  });
}

function answerText(answer: ForgetAnswer): string {
  const {
    entries,
    masked,
    calls,
    bytes,
    chatRecords,
    quotes,
    madeTexts,
    owners,
    readers,
    named,
    pinned,
    traces,
    programs,
    isTrial,
  } = answer;
  const lines = named.map(({ id, what, parts, ofCall }) => {
    const ofText = parts === undefined ? '' : ` (${countOf(parts, 'part')})`;
    const share = ofCall === true ? ' (in its call)' : ofText;
    return `  ${id.padEnd(6)} ${what.slice(0, 56)}${share}`;
  });
  const left = entries + masked + calls - named.length;
  if (left > 0) lines.push(`  and ${grouped(left)} more`);
  const whats = [
    ...(entries > 0 ? [countOf(entries, 'text')] : []),
    ...(masked > 0 ? [`parts of ${countOf(masked, 'text')}`] : []),
    ...(calls > 0 ? [`arguments of ${countOf(calls, 'call')}`] : []),
  ];
  const what = whats.length === 0 ? 'no text' : whats.join(' and ');
  const others = [...owners, ...readers].filter((id) => id !== answer.session);
  lines.push(`${isTrial ? 'This would forget' : 'Forgotten:'} ${what}, ${size(bytes)}.`);
  const made = [
    ...(chatRecords > 0 ? [`${countOf(chatRecords, 'record')} of chats`] : []),
    ...(quotes > 0 ? [`what calls of ${countOf(quotes, 'other text')} quote`] : []),
    ...(madeTexts > 0 ? [`lines of ${countOf(madeTexts, 'text')} made of it`] : []),
  ];
  if (made.length > 0) lines.push(`With it ${isTrial ? 'would go' : 'went'}: ${made.join(', ')}.`);
  if (traces > 0)
    lines.push(
      `Traces of ${countOf(traces, 'turn')} that quote it ${isTrial ? 'would be' : 'were'} deleted (RLM_TRACE_DIR).`,
    );
  if (programs > 0)
    lines.push(
      `Variables of programs in ${countOf(programs, 'chat')} ${isTrial ? 'would be' : 'were'} dropped: they may hold it.`,
    );
  if (pinned > 0)
    lines.push(
      `${countOf(pinned, 'text')} of these ${pinned === 1 ? 'is' : 'are'} pinned: pins keep texts from making room, not from this.`,
    );
  if (others.length > 0)
    lines.push(
      `The same bytes ${isTrial ? 'are in these, and go' : 'were in these, and went'} there, too:`,
      ...others.map((id) => `  ${id}`),
    );
  lines.push(
    isTrial
      ? 'Nothing was changed. Add --yes to do it; it cannot be undone.'
      : 'Chats that are going on see what is left from their next turn on.',
  );
  return `${lines.join('\n')}\n`;
}

async function undoBlock(entry: string, flags: ForgetFlags): Promise<void> {
  await withOperations(flags, async (call) => {
    const answer = (await call('allow-again', { ...choiceOf(flags), entry })) as {
      readonly isAllowed: boolean;
      readonly entry: string;
    } | null;
    if (flags.json === true) printJson(answer, 2);
    else if (answer === null) printProse('Nothing is stored here yet.\n');
    else
      print(
        answer.isAllowed
          ? `The text of ${answer.entry} is stored again when a client sends it, as a new entry.\n`
          : `${answer.entry} is not kept from coming again: nothing was changed.\n`,
      );
  });
}
