import { z } from 'zod';
import { linkNameFault } from '../../store/session/links.ts';
import type { Entry } from '../../store/types.ts';
import { findEntry } from '../entry-choice.ts';
import { counted } from '../result-form.ts';
import type { ToolContext } from '../tool.ts';
import type { LinkedStores } from './linked-stores.ts';

/**
 * The argument by which a search reaches linked stores. Every search tool takes it; it stands in
 * the definitions of chats only whose store had links when they got their tools (`registry.ts`).
 */
export const scopeArg = {
  scope: z
    .string()
    .optional()
    .describe(
      '"session": this store (default). "linked": this one and all linked stores. Or the name of one. Ids of other stores begin with its name: "api:e7".',
    ),
};

/** The same without a word about it, for tools whose description names one that has it. */
export const plainScopeArg = { scope: z.string().optional() };

/** The name of the argument, for whoever makes definitions. */
export const scopeName = 'scope';

/** A store that is to be asked. */
export interface AskedStore {
  /** Of a linked one. */
  readonly name?: string | undefined;
  readonly context: ToolContext;
}

/** What chooses stores, among the arguments of a search. */
interface ScopedArgs {
  readonly scope?: string | undefined;
  readonly entry?: string | undefined;
  readonly path?: string | undefined;
  readonly cursor?: string | undefined;
}

/** Which stores a search is for. */
type StoreScope<Args> =
  | {
      readonly ok: true;
      /** The own one first; at least one. */
      readonly stores: readonly AskedStore[];
      /** The arguments, without the names of stores in them. */
      readonly args: Args;
      /** Why stores that are asked for cannot be read: without them the answer is not whole. */
      readonly faults: readonly string[];
      /** What else is to be said of stores that are not read. */
      readonly notes: readonly string[];
    }
  | { readonly ok: false; readonly fault: string };

/** The stores that arguments choose: by `scope`, or by an entry or a path with a store's name. */
export async function scopeOf<Args extends ScopedArgs>(
  args: Args,
  context: ToolContext,
): Promise<StoreScope<Args>> {
  const linked = linkedIn(context);
  const isOwn = args.entry !== undefined && context.session.store.entry(args.entry) !== undefined;
  const named = isOwn ? undefined : (nameIn(args.entry, linked) ?? nameIn(args.path, linked));
  if (named !== undefined) {
    if (!named.ok) return named;
    const part =
      nameIn(args.entry, linked) === undefined ? { path: named.rest } : { entry: named.rest };
    return oneStore(named.name, { ...args, ...part }, context);
  }
  const scope = args.scope?.trim().toLowerCase() ?? '';
  const own = { name: context.storeName, context };
  // An entry without a name is one of this store.
  if (ownWords.has(scope) || (args.entry !== undefined && allWords.has(scope)))
    return { ok: true, stores: [own], args, faults: [], notes: [] };
  if (linked === undefined) {
    const faults = [noLinks];
    if (allWords.has(scope)) return { ok: true, stores: [own], args, faults, notes: [] };
    return { ok: false, fault: `There is no linked store ${JSON.stringify(scope)}. ${noLinks}` };
  }
  if (!allWords.has(scope)) {
    const name = scope.replace(/:$/, '');
    if (!linked.names.includes(name)) return { ok: false, fault: unknownStore(name, linked) };
    return oneStore(name, args, context);
  }
  const stores: AskedStore[] = [own];
  const faults: string[] = [];
  for (const name of linked.names) {
    const opened = await linked.open(name);
    if (opened.ok) stores.push({ name, context: inStore(name, opened.session, context) });
    else faults.push(opened.fault);
  }
  const notes: string[] = [];
  for (const { why, isMissing } of linked.unread) (isMissing ? faults : notes).push(why);
  return { ok: true, stores, args, faults, notes };
}

const ownWords: ReadonlySet<string> = new Set(['', 'session', 'own', 'this', 'here', 'local']);
const allWords: ReadonlySet<string> = new Set(['linked', 'all', 'links', 'everything']);

const noLinks =
  'No stores are linked to this one; people link them with `rlm-opencode sessions link`.';

/** The stores that may be read from here; those of a part of the context reach no further. */
export function linkedIn({ linked, slice }: ToolContext): LinkedStores | undefined {
  return slice === undefined ? linked : undefined;
}

/**
 * The store that an entry's name is of, and its name there: `api:e7` is e7 in api. Without a name
 * of a store in front it is one of the context's own.
 */
export async function storeOfEntry(
  entry: string,
  context: ToolContext,
): Promise<
  | { readonly ok: true; readonly context: ToolContext; readonly entry: string }
  | { readonly ok: false; readonly fault: string }
> {
  const isOwn = context.session.store.entry(entry) !== undefined;
  const named = isOwn ? undefined : nameIn(entry, linkedIn(context));
  if (named === undefined) return { ok: true, context, entry };
  if (!named.ok) return named;
  const scope = await oneStore(named.name, {}, context);
  if (!scope.ok) return scope;
  return { ok: true, context: scope.stores[0]!.context, entry: named.rest };
}

/** The entry of a name, whichever store it is of, and the context of that store. */
export async function findEntryIn(
  name: string,
  context: ToolContext,
): Promise<
  | { readonly ok: true; readonly context: ToolContext; readonly entry: Entry }
  | { readonly ok: false; readonly fault: string }
> {
  const place = await storeOfEntry(name, context);
  if (!place.ok) return place;
  const found = findEntry(place.context.session.store, place.entry);
  return found.ok ? { ...found, context: place.context } : found;
}

async function oneStore<Args>(
  name: string,
  args: Args,
  context: ToolContext,
): Promise<StoreScope<Args>> {
  const opened = await linkedIn(context)!.open(name);
  if (!opened.ok) return opened;
  const stores = [{ name, context: inStore(name, opened.session, context) }];
  return { ok: true, stores, args, faults: [], notes: [] };
}

/** The context of a linked store: its own links are not followed. */
function inStore(name: string, session: ToolContext['session'], context: ToolContext): ToolContext {
  return { ...context, session, storeName: name, linked: undefined };
}

/** The store's name in front of an entry or a path, where there is one. */
function nameIn(
  text: string | undefined,
  linked: LinkedStores | undefined,
):
  | { readonly ok: true; readonly name: string; readonly rest: string }
  | { readonly ok: false; readonly fault: string }
  | undefined {
  const found = /^\s*([a-z0-9-]+)\s*:\s*(.+)$/is.exec(text ?? '');
  if (found === null) return undefined;
  const name = found[1]!.toLowerCase();
  if (linked?.names.includes(name) === true) return { ok: true, name, rest: found[2]! };
  // Anything else with a colon may be a path; an id behind a name is none.
  if (!/^e\d+$/i.test(found[2]!) || linkNameFault(name) !== undefined) return undefined;
  return { ok: false, fault: unknownStore(name, linked) };
}

function unknownStore(name: string, linked: LinkedStores | undefined): string {
  const what = `There is no linked store ${JSON.stringify(name)} here`;
  if (linked === undefined) return `${what} (any more). ${noLinks}`;
  const unread = linked.unread.find((link) => link.name === name);
  if (unread !== undefined) return unread.why;
  if (linked.names.length === 0) return `${what}: at that moment none can be read.`;
  return `${what}; there ${linked.names.length === 1 ? 'is' : 'are'} ${linked.names.join(', ')}.`;
}

/** How to ask the stores that a search of this one alone has not looked into. */
export function otherStoresNote(context: ToolContext): string | undefined {
  const linked = linkedIn(context);
  if (linked === undefined || context.storeName !== undefined) return undefined;
  const { names } = linked;
  if (names.length === 0) return undefined;
  const are = names.length === 1 ? 'is' : 'are';
  return `Only this project's own store was searched; ${counted(names.length, 'store')} of other projects ${are} linked (${names.join(', ')}): the same call with "scope": "linked" searches them, too.`;
}
