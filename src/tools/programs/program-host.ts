import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { ProxyError } from '../../errors.ts';
import type { Sandboxes } from '../../sandbox/sandboxes.ts';
import type {
  NameRecord,
  SandboxHost,
  SandboxQuestion,
  SandboxReply,
} from '../../sandbox/types.ts';
import type { Entry, EntryList } from '../../store/types.ts';
import { checkArguments } from '../call-door.ts';
import { linkedAt } from '../linked/linked-stores.ts';
import { linkedIn, storeOfEntry } from '../linked/scope.ts';
import { chooseEntries, findEntry } from '../entry-choice.ts';
import { offsetOfLine } from '../entry-lines.ts';
import { titleOf } from '../entry-title.ts';
import { findTool } from '../searching/find.ts';
import { findMoment, sessionAt } from '../moments.ts';
import { countChars } from '../pieces.ts';
import { keptAnswers } from '../query/kept-answers.ts';
import { searchTool } from '../searching/search.ts';
import { isVisible, visibleChars } from '../slice.ts';
import { askAll, type SubModel, type SubQuestion } from '../sub-model.ts';
import type { Tool, ToolContext } from '../tool.ts';
import { groupFor, programSearchMs, recordsFor } from './engine-calls.ts';
import { mapItems } from './llm-map.ts';
import { linkedManual, manual } from './manual.ts';

/** Where a chat's programs run. */
export interface Programs {
  readonly sandboxes: Sandboxes;
  /** The chat whose variables they are. Unlike those of a sub-call. */
  readonly chatId: string;
  readonly names: NameRecord;
  /** Takes what a program gave to `answer`; the loop puts it into the visible answer as it is. */
  readonly onAnswer: (text: string) => void;
}

/** Search results may be so long inside a program, characters: they are not read by the model. */
const maxSearchChars = 4_000_000;

/**
 * A program's view of the session: what the tools see, through the same checks. Offsets are those
 * of the whole context.
 */
export function createProgramHost(context: ToolContext): SandboxHost {
  const { store } = context.session;
  const pasts = new Map<string, Promise<SandboxHost>>();
  const { startChars, endChars } = visibleChars(store, context.slice);
  return {
    // Offsets are those of the whole context, so a slice ends where it ends; before its start there
    // is nothing.
    lengthChars: endChars,
    read: async (offsetChars, lengthChars) => {
      const start = Math.max(startChars, offsetChars);
      const end = Math.min(endChars, offsetChars + lengthChars);
      return end <= start ? '' : store.readBytes(start, end - start);
    },
    lines: async ({ entry: given, ...lines }, signal) => {
      const place = given === undefined ? undefined : await placeOf(given, context);
      if (place !== undefined && place.context !== context)
        return createProgramHost(place.context).lines({ ...lines, entry: place.entry }, signal);
      const name = given;
      const { first, last } =
        name === undefined ? lines : storeLines(seenEntry(name, context), lines);
      if (last < first) return '';
      const start = Math.max(startChars, await offsetOfLine(store, first));
      const end = Math.min(endChars, await offsetOfLine(store, last + 1));
      if (end - start > maxTextChars)
        throw new ProxyError(
          'limit_reached',
          `These lines have ${end - start} characters, at most ${maxTextChars} are handed out at once: take fewer lines in a loop, or context.records`,
        );
      return end <= start ? '' : store.readBytes(start, end - start);
    },
    text: async (name) => {
      const place = await placeOf(name, context);
      return textOf(place.entry, place.context);
    },
    search: async (pattern, options, signal) => searchFor(pattern, options, { ...context, signal }),
    records: async (pattern, options, signal) =>
      recordsFor(pattern, options, { ...context, signal }),
    at: async (moment) => {
      const known = pasts.get(moment) ?? hostAt(moment, context);
      pasts.set(moment, known);
      return known;
    },
    methods: {
      group: async (args, signal) => groupFor(args, { ...context, signal }),
      map: async (args, signal) => mapItems(args, { ...context, signal }),
      answers: async ([id]) => answersOf(String(id), context),
      help: async () => (linkedIn(context) === undefined ? manual : `${manual}\n\n${linkedManual}`),
      linked: async () => {
        const linked = linkedIn(context);
        return (linked?.names ?? []).map((name) => ({
          name,
          directory: linked?.directoryOf(name),
        }));
      },
    },
    ...(linkedIn(context) === undefined
      ? {}
      : {
          of: async (name) => {
            const opened = await openedStore(name, context);
            return createProgramHost({ ...context, session: opened, linked: undefined });
          },
        }),
    entries: async (filter) => entriesFor(filter, context),
    query: async (questions, signal) => askFor(questions, context, signal),
  };
}

/** The store that an entry's name is of. @throws ProxyError `invalid_request` */
async function placeOf(
  entry: string,
  context: ToolContext,
): Promise<{ readonly entry: string; readonly context: ToolContext }> {
  const place = await storeOfEntry(entry, context);
  if (!place.ok) throw new ProxyError('invalid_request', place.fault);
  return place;
}

/** @throws ProxyError `invalid_request` where it cannot be read */
async function openedStore(name: string, context: ToolContext): Promise<ToolContext['session']> {
  const linked = linkedIn(context);
  const names = linked?.names ?? [];
  if (!names.includes(name)) {
    const unread = linked?.unread.find((link) => link.name === name);
    const there = names.length === 0 ? '' : `; there are ${names.join(', ')}`;
    throw new ProxyError(
      'invalid_request',
      unread?.why ?? `no store is linked as ${JSON.stringify(name)}${there}`,
    );
  }
  const opened = await linked!.open(name);
  if (!opened.ok) throw new ProxyError('invalid_request', opened.fault);
  return opened.session;
}

/** @throws ProxyError `invalid_request` where there is no such moment */
async function hostAt(moment: string, context: ToolContext): Promise<SandboxHost> {
  const { session, clock } = context;
  const found = findMoment(moment, session, clock.now());
  if (!found.ok) throw new ProxyError('invalid_request', found.fault);
  return createProgramHost({
    ...context,
    session: await sessionAt(session, found.at),
    linked: linkedAt(context.linked, session, found.at),
  });
}

/** @throws ProxyError `invalid_request` where there is not one, or nothing of it is to be seen */
function seenEntry(name: string, { session, slice }: ToolContext): Entry {
  const found = findEntry(session.store, name);
  if (!found.ok) throw new ProxyError('invalid_request', found.fault);
  const { id, offsetChars, lengthChars } = found.entry;
  const seen = visibleChars(session.store, slice);
  const isOutside = offsetChars >= seen.endChars || offsetChars + lengthChars <= seen.startChars;
  if (isOutside && lengthChars > 0)
    throw new ProxyError('invalid_request', `${id} lies outside the part that you see.`);
  return found.entry;
}

/** Lines of an entry as lines of the store; of a large one only these are read. */
function storeLines(
  { lineNumber, lineCount }: Entry,
  { first, last }: { readonly first: number; readonly last: number },
): { readonly first: number; readonly last: number } {
  const before = lineNumber - 1;
  return { first: before + first, last: before + Math.min(lineCount, last) };
}

/** A text is handed to a program whole up to so many characters. */
const maxTextChars = 10_000_000;

/** An entry's text, as far as it is to be seen here. */
async function textOf(name: string, context: ToolContext): Promise<Uint8Array<ArrayBuffer>> {
  const { store } = context.session;
  const { id, offsetChars, lengthChars } = seenEntry(name, context);
  if (lengthChars > maxTextChars)
    throw new ProxyError(
      'limit_reached',
      `${id} has ${lengthChars} characters, at most ${maxTextChars} are handed out at once: context.lines("${id}", from, to) or context.read(${offsetChars} + at, length) in a loop, or context.records`,
    );
  const seen = visibleChars(store, context.slice);
  const start = Math.max(seen.startChars, offsetChars);
  const end = Math.min(seen.endChars, offsetChars + lengthChars);
  return store.readBytes(start, Math.max(0, end - start));
}

function answersOf(id: string, { session }: ToolContext): readonly unknown[] {
  const kept = keptAnswers(session, id);
  if (typeof kept === 'string') throw new ProxyError('invalid_request', kept);
  return kept;
}

async function searchFor(
  pattern: string,
  options: unknown,
  context: ToolContext,
): Promise<unknown> {
  const { literal, ...given } = options as Record<string, unknown>;
  const result =
    literal === true
      ? await checkedRun(findTool, { ...given, text: pattern }, context)
      : await checkedRun(searchTool, { ...given, pattern }, context);
  if (typeof result['error'] === 'string') throw new ProxyError('invalid_request', result['error']);
  // A program would take a lower bound for the number.
  if (result['partial'] === true)
    throw new ProxyError(
      'limit_reached',
      typeof result['note'] === 'string'
        ? result['note']
        : 'the search ran out of time: narrow it or read in chunks',
    );
  return result;
}

async function checkedRun<Args>(
  tool: Tool<Args>,
  given: Record<string, unknown>,
  context: ToolContext,
): Promise<Record<string, unknown>> {
  const checked = checkArguments(given, tool);
  if (!checked.ok) throw new ProxyError('invalid_request', checked.fault);
  const text = await tool.run(checked.args as Args, {
    ...context,
    // A program may search a thousand times.
    report: undefined,
    searchDeadlineMs: Math.max(programSearchMs, context.searchDeadlineMs),
    maxResultChars: maxSearchChars,
    isExplained: false,
    form: 'json',
  });
  const result = JSON.parse(text) as Record<string, unknown>;
  return checked.notes.length === 0
    ? result
    : { ...result, arguments_note: checked.notes.join(' ') };
}

/** Lists of more entries have no titles. */
const maxTitles = 2_000;

/** So many entries are made ready for a program between two turns of the event loop: under 5 ms. */
const entriesPerTurn = 4_000;

const entryFilter = z.strictObject({
  id: z.string().optional(),
  kind: z.string().optional(),
  tool: z.string().optional(),
  path: z.string().optional(),
  since: z.string().optional(),
  until: z.string().optional(),
});

const entriesTool = { name: 'context.entries(filter)', args: entryFilter };

/** The entries that a filter chooses, by the rules of the tools' filters. */
async function entriesFor(filter: unknown, context: ToolContext): Promise<readonly unknown[]> {
  const { store } = context.session;
  const checked = checkArguments(filter, entriesTool);
  if (!checked.ok) throw new ProxyError('invalid_request', checked.fault);
  const { id, kind, ...others } = checked.args as z.infer<typeof entryFilter>;
  const chosen = chooseEntries(store, { ...others, entry: id }, context.clock.now());
  // An empty list would be taken for "there is none".
  if (!chosen.ok) throw new ProxyError('invalid_request', chosen.fault);
  if (kind !== undefined && !store.list.kinds.has(kind))
    throw new ProxyError(
      'invalid_request',
      `No entry is of kind ${JSON.stringify(kind)}; there are ${[...store.list.kinds.keys()].join(', ')}.`,
    );
  const entries = chosen.entries ?? store.entries.slice(0, store.totals.entries);
  const found: unknown[] = [];
  for (const [index, entry] of entries.entries()) {
    if (index % entriesPerTurn === entriesPerTurn - 1) await setImmediate();
    if ((kind === undefined || entry.kind === kind) && isVisible(entry, context.slice))
      found.push({
        ...entryForProgram(store.list, entry),
        // For a title the text may have to be looked at.
        ...(entries.length > maxTitles ? {} : { title: await titleOf(store, entry) }),
      });
  }
  return found;
}

/** An entry as programs see it. */
function entryForProgram(list: EntryList, entry: Entry): Record<string, unknown> {
  const paths = list.pathsOf(entry);
  return {
    id: entry.id,
    kind: entry.kind,
    tool: entry.tool,
    args: entry.args,
    ...(paths.length === 0 ? {} : { path: paths[0] }),
    ...(paths.length < 2 ? {} : { paths }),
    offset: entry.offsetChars,
    length: entry.lengthChars,
    line: entry.lineNumber,
    lines: entry.lineCount,
    time: new Date(entry.timeMs).toISOString(),
  };
}

async function askFor(
  questions: readonly SandboxQuestion[],
  context: ToolContext,
  signal: AbortSignal,
): Promise<readonly SandboxReply[]> {
  const { subModel } = context;
  if (subModel === undefined)
    return questions.map(() => ({ ok: false, error: 'there is no sub-model here' }));
  const { maxTextChars: mostChars } = subModel;
  const ask: SubModel['ask'] = async (question, abort) => {
    const lengthChars = countChars(question.question) + countChars(question.text ?? '');
    if (lengthChars <= mostChars) return subModel.ask(question, abort);
    throw new ProxyError(
      'limit_reached',
      `prompt and text have ${lengthChars} characters, the sub-model takes ${mostChars}: cut them`,
    );
  };
  const answers = await askAll(labelled(questions), { ...subModel, ask }, signal);
  return answers.map((answer) =>
    answer.ok ? { ok: true, text: answer.text } : { ok: false, error: answer.error },
  );
}

async function* labelled(
  questions: readonly SandboxQuestion[],
): AsyncGenerator<SubQuestion, void, void> {
  for (const [index, { prompt, text }] of questions.entries())
    yield {
      question: prompt,
      text,
      label: `question ${index + 1} of ${questions.length}`,
    };
}
