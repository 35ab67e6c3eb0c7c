import { counted, faultText, onOneLine, type ResultForm } from '../result-form.ts';
import { linkedIn, type AskedStore } from '../linked/scope.ts';
import { givenElsewhere, sharedTextsNote } from '../linked/shared-texts.ts';
import type { ToolContext } from '../tool.ts';

/** What is told of a linked store beside what its own store holds. */
interface LinkedSize {
  readonly name: string;
  readonly directory?: string | undefined;
  readonly session?: string;
  readonly entries?: number;
  readonly characters?: number;
  /** Why it cannot be read. */
  readonly fault?: string;
}

/** The stores that are linked, with their sizes. */
export async function linkedSizes(context: ToolContext): Promise<readonly LinkedSize[]> {
  const linked = linkedIn(context);
  const sizes: LinkedSize[] = [];
  for (const name of linked?.names ?? []) {
    const directory = linked?.directoryOf(name);
    const opened = await linked!.open(name);
    if (!opened.ok) {
      sizes.push({ name, directory, fault: opened.fault });
      continue;
    }
    const { id, store } = opened.session;
    const { entries, chars: characters } = store.totals;
    sizes.push({ name, directory, session: id, entries, characters });
  }
  for (const { name, why } of linked?.unread ?? []) sizes.push({ name, fault: why });
  return sizes;
}

/** The same for a model to read; nothing where there is none. */
export function linkedNote(sizes: readonly LinkedSize[]): readonly string[] {
  if (sizes.length === 0) return [];
  const each = sizes
    .filter(({ fault }) => fault === undefined)
    .map(({ name, directory, entries = 0, characters }) => {
      const of = directory === undefined ? '' : ` of ${onOneLine(directory, 100)}`;
      return `${name}${of} (${counted(entries, 'entry', 'entries')}, ${characters} characters)`;
    });
  const there =
    each.length === 0
      ? []
      : [`linked stores: ${each.join(', ')}; "scope": "linked" or one of their names asks them.`];
  return [...there, ...sizes.flatMap(({ fault }) => (fault === undefined ? [] : [fault]))];
}

/** Notes in front of a text. */
export function withNotes(notes: readonly string[], text: string): string {
  return [...notes.map((note) => `note: ${note}`), text].join('\n');
}

/** A cursor of a linked store (`api:e7`) goes on in that store. */
export function inCursorsStore<Args extends { readonly cursor?: string | undefined }>(
  asked: Args,
): Args {
  const name = /^([a-z0-9-]+):e\d+$/.exec(asked.cursor ?? '')?.[1];
  return name === undefined ? asked : { ...asked, scope: name };
}

/**
 * What several stores hold, the own one first; an error only where the filter fits none of them.
 */
export async function overStores(
  stores: readonly AskedStore[],
  faults: readonly string[],
  statsOf: (context: ToolContext) => Promise<
    | {
        readonly ok: true;
        readonly fields: Readonly<Record<string, unknown>>;
        readonly text: () => Promise<string>;
      }
    | { readonly ok: false; readonly fault: string }
  >,
  form: ResultForm,
): Promise<string> {
  const found = [];
  for (const store of stores) found.push({ ...store, stats: await statsOf(store.context) });
  const isAnywhere = found.some(({ stats }) => stats.ok);
  const [first] = found;
  const given = givenElsewhere(stores);
  const shared = sharedTextsNote(stores, given, 'each');
  if (!isAnywhere && first?.stats.ok === false) return faultText(first.stats.fault, form);
  if (form === 'json') {
    const [own, ...linked] = found.map(({ name, context, stats }, index) => ({
      ...(name === undefined ? {} : { name, session: context.session.id }),
      ...(name === undefined ? {} : { directory: context.session.directory }),
      ...(stats.ok ? stats.fields : { fault: stats.fault }),
      ...(given[index] && { shared_texts: given[index].entries }),
    }));
    const unread = faults.map((fault) => ({ fault }));
    return JSON.stringify({ ...own, linked_sessions: [...linked, ...unread] });
  }
  const texts = [...faults, ...(shared === undefined ? [] : [shared])].map((one) => `note: ${one}`);
  for (const { name, context, stats } of found) {
    const directory = context.session.directory;
    const of = directory === undefined ? '' : ` (${onOneLine(directory, 100)})`;
    const head = name === undefined ? '--- this store' : `--- the linked store ${name}${of}`;
    texts.push(`${head}:\n${stats.ok ? await stats.text() : stats.fault}`);
  }
  return texts.join('\n\n');
}
