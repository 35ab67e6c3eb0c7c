import type { Entry } from '../../store/types.ts';
import { findEntry } from '../entry-choice.ts';
import { labelOf } from '../entry-title.ts';
import { diffLines } from './line-diff.ts';
import { counted, faultText, type ResultForm } from '../result-form.ts';
import { isVisible } from '../slice.ts';
import type { ToolContext } from '../tool.ts';

/** Texts that are compared, bytes at most each: what takes longer would hold up other chats. */
const maxComparedBytes = 2_097_152;

/** Says what differs between two entries: an older one is taken as what was before. */
export async function compareEntries(
  one: Entry | undefined,
  other: string,
  {
    context,
    form,
    maxChars,
  }: { readonly context: ToolContext; readonly form: ResultForm; readonly maxChars: number },
): Promise<string> {
  const { store } = context.session;
  if (one === undefined) return faultText('Name the entry to compare, too: "entry".', form);
  const found = findEntry(store, other);
  if (!found.ok) return faultText(found.fault, form);
  const [before, after] = one.seq < found.entry.seq ? [one, found.entry] : [found.entry, one];
  for (const entry of [before, after]) {
    if (!isVisible(entry, context.slice))
      return faultText(`${entry.id} lies outside the part of the context that you see.`, form);
    if (entry.lengthBytes > maxComparedBytes)
      return faultText(
        `${entry.id} is too long to be compared whole (${entry.lengthChars} characters); compare parts of it in rlm_exec.`,
        form,
      );
  }
  const diff = diffLines(await store.readEntry(before), await store.readEntry(after));
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
  const names = `--- ${before.id} ${await labelOf(store, before)}\n+++ ${after.id} ${await labelOf(store, after)}`;
  if (diff.hunks.length === 0) return `${names}\nNo line differs.`;
  return `${names}\n${counted(added, 'line')} added, ${removed} removed.${note === undefined ? '' : ` ${note}`}\n${text}`.trimEnd();
}
