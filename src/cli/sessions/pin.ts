import { Command } from 'commander';
import { countOf, grouped } from '../../base/numbers.ts';
import type { Pins } from '../../operations/pins.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson, printProse } from '../screen.ts';
import { addSessionFlags, choiceOf, type SessionFlags } from '../session-flags.ts';

interface PinFlags extends SessionFlags {
  readonly tool?: string;
  readonly path?: string;
}

/**
 * `rlm-opencode sessions pin`, `unpin`, `pins`: which texts never go to make room. People decide
 * it, no model does.
 */
export function pinCommands(): readonly Command[] {
  const pin = withFilter(
    new Command('pin').description('keep texts when others go to make room (see `sessions gc`)'),
  );
  const unpin = withFilter(new Command('unpin').description('let pinned texts go like others'));
  const list = new Command('pins').description('list the pinned texts');
  return [
    addSessionFlags(pin).action(async (entries: string[], flags: PinFlags) =>
      changePins('pin', entries, flags),
    ),
    addSessionFlags(unpin).action(async (entries: string[], flags: PinFlags) =>
      changePins('unpin', entries, flags),
    ),
    addSessionFlags(list).action(async (flags: PinFlags) => changePins(undefined, [], flags)),
  ];
}

function withFilter(command: Command): Command {
  return command
    .argument('[entries...]', 'entries: e12, or a path that only one entry has')
    .option('--tool <name>', 'all outputs of a tool that are there now')
    .option('--path <path>', 'all texts whose path contains this, or fits it as in .gitignore');
}

async function changePins(
  change: 'pin' | 'unpin' | undefined,
  entries: readonly string[],
  flags: PinFlags,
): Promise<void> {
  const { tool, path } = flags;
  await withOperations(flags, async (call) => {
    const pins = (await call('pins', {
      ...choiceOf(flags),
      change,
      entries,
      tool,
      path,
    })) as Pins | null;
    if (flags.json === true) printJson(pins, 2);
    else if (pins === null) printProse('Nothing is stored here yet, so nothing can be pinned.\n');
    else print(pinsText(pins, change));
  });
}

function pinsText({ session, changed, pinned }: Pins, change: 'pin' | 'unpin' | undefined): string {
  const lines = [];
  if (change !== undefined) {
    const done = change === 'pin' ? 'Pinned' : 'Unpinned';
    lines.push(
      changed.length === 0
        ? `Nothing changed: ${change === 'pin' ? 'they were pinned already' : 'none of them was pinned'}.`
        : `${done} ${countOf(changed.length, 'text')}: ${shortList(changed)}`,
    );
  }
  lines.push(
    pinned.length === 0
      ? `No text of ${session} is pinned.`
      : `${countOf(pinned.length, 'text')} of ${session} ${pinned.length === 1 ? 'is' : 'are'} pinned:`,
  );
  for (const { entry, title, chars, isGone } of pinned) {
    const what = isGone === true ? 'forgotten all the same: a person asked for it' : title;
    lines.push(cutAt80(`  ${entry}  ${grouped(chars)} characters  ${what}`.trimEnd()));
  }
  return `${lines.join('\n')}\n`;
}

/** A line of a list is read at a glance: what does not fit the usual 80 columns is left out. */
function cutAt80(line: string): string {
  const chars = Array.from(line);
  return chars.length <= 80 ? line : `${chars.slice(0, 79).join('')}…`;
}

/** Ids that are shown of a long list. */
const maxShown = 8;

function shortList(ids: readonly string[]): string {
  const more = ids.length - maxShown;
  return `${ids.slice(0, maxShown).join(', ')}${more > 0 ? `, and ${grouped(more)} more` : ''}`;
}
