import type { Entry } from '../../store/types.ts';
import { findEntryIn } from '../linked/scope.ts';
import { labelOf } from '../entry-title.ts';
import { diffLines } from './line-diff.ts';
import { counted, faultText, type ResultForm } from '../result-form.ts';
import { isVisible } from '../slice.ts';
import type { ToolContext } from '../tool.ts';

/** Texts that are compared, bytes at most each: what takes longer would hold up other chats. */
const maxComparedBytes = 2_097_152;

/** An entry with the context of its store. */
interface FoundEntry {
  readonly context: ToolContext;
  readonly entry: Entry;
}

/** Says what differs between two entries: an older one is taken as what was before. */
export async function compareEntries(
  one: FoundEntry | undefined,
  other: string,
  {
    context,
    form,
    maxChars,
  }: { readonly context: ToolContext; readonly form: ResultForm; readonly maxChars: number },
): Promise<string> {
  if (one === undefined) return faultText('Name the entry to compare, too: "entry".', form);
  const found = await findEntryIn(other, context);
  if (!found.ok) return faultText(found.fault, form);
  const isOneStore = found.context.session.id === one.context.session.id;
  const isInOrder = isOneStore
    ? one.entry.seq < found.entry.seq
    : one.entry.timeMs <= found.entry.timeMs;
  const [older, newer] = isInOrder ? [one, found] : [found, one];
  const { entry: before } = older;
  const { entry: after } = newer;
  for (const entry of [before, after]) {
    if (!isVisible(entry, context.slice))
      return faultText(`${entry.id} lies outside the part of the context that you see.`, form);
    if (entry.lengthBytes > maxComparedBytes)
      return faultText(
        `${entry.id} is too long to be compared whole (${entry.lengthChars} characters); compare parts of it in rlm_exec.`,
        form,
      );
  }
  const [olderStore, newerStore] = [older.context.session.store, newer.context.session.store];
  const diff = diffLines(await olderStore.readEntry(before), await newerStore.readEntry(after));
  const { added, removed } = diff;
  let text = '';
  let shown = 0;
  for (const hunk of diff.hunks) {
    if (text.length + hunk.length > maxChars && shown > 0) break;
    text += `${hunk.slice(0, maxChars)}\n`;
    shown += 1;
  }
  const left = diff.hunks.length - shown;
  const note =
    left === 0
      ? undefined
      : `${counted(left, 'change')} more: ask with a larger "length" (up to 50000).`;
  if (form === 'json')
    return JSON.stringify({
      entry: after.id,
      against: before.id,
      added,
      removed,
      ...(note === undefined ? {} : { note }),
      text,
    });
  const names = `--- ${before.id} ${await labelOf(olderStore, before)}\n+++ ${after.id} ${await labelOf(newerStore, after)}`;
  if (diff.hunks.length === 0) return `${names}\nNo line differs.`;
  return `${names}\n${counted(added, 'line')} added, ${removed} removed.${note === undefined ? '' : ` ${note}`}\n${text}`.trimEnd();
}
