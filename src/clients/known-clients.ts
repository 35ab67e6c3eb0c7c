import { claudeCode } from './claude-code.ts';
import type { ClientKind, HelperForm } from './client.ts';
import { cline } from './cline.ts';
import { codex } from './codex.ts';
import { continueCli } from './continue.ts';
import { crush } from './crush.ts';
import { kilo, openCode } from './opencode.ts';
import { pi } from './pi.ts';
import { qwenCode } from './qwen-code.ts';
import { unknownClient } from './unknown.ts';

/** The clients that are recognised, in the order in which they are asked for. */
export const knownClients: readonly ClientKind[] = [
  openCode,
  kilo,
  qwenCode,
  pi,
  continueCli,
  cline,
  codex,
  claudeCode,
  crush,
];

/** All rows: the last stands for clients that have none. */
export const allClients: readonly ClientKind[] = [...knownClients, unknownClient];

/** A message of a request, as far as clients show themselves in it. */
export interface SaidMessage {
  readonly role: string;
  readonly content?: string | readonly { readonly text?: unknown }[] | null;
}

/** What a message tells of the client that sends it; absent members: nothing. */
export interface ClientSigns {
  /** The client whose words these are. */
  readonly client?: ClientKind;
  /** The working directory that it names, in the form of each client that names it so. */
  readonly directories?: ReadonlyMap<ClientKind, NamedDirectory>;
  /** Helper requests that have such a message. */
  readonly helpers?: ReadonlyMap<ClientKind, HelperForm>;
}

/** A working directory, and the root of its project where the client names it. */
export interface NamedDirectory {
  readonly path: string;
  readonly root?: string | undefined;
}

/** Longer texts in a user's message hold nothing of a client's own, code units. */
const maxClientText = 200_000;

/** Pure. Nothing where a message tells nothing. */
export function signsOf(message: SaidMessage): ClientSigns | undefined {
  const { role } = message;
  if (role === 'user') return signsIn('user', textsIn(message));
  if (role !== 'system' && role !== 'developer') return undefined;
  return signsIn('system', [textsIn(message).join('\n')]);
}

function signsIn(stands: 'system' | 'user', texts: readonly string[]): ClientSigns | undefined {
  let directories: Map<ClientKind, NamedDirectory> | undefined;
  let helpers: Map<ClientKind, HelperForm> | undefined;
  let client: ClientKind | undefined;
  for (const row of allClients) {
    const directory = directoryIn(row, stands, texts);
    if (directory !== undefined) (directories ??= new Map()).set(row, directory);
    const helper = row.helpers.find(
      (each) => each.stands === stands && texts.some((text) => each.form.test(text)),
    );
    if (helper !== undefined) (helpers ??= new Map()).set(row, helper);
    if (stands === 'system' && row.known.prompt?.test(texts[0] ?? '') === true) client ??= row;
  }
  if (client === undefined && directories === undefined && helpers === undefined) return undefined;
  return {
    ...(client === undefined ? {} : { client }),
    ...(directories === undefined ? {} : { directories }),
    ...(helpers === undefined ? {} : { helpers }),
  };
}

function directoryIn(
  row: ClientKind,
  stands: 'system' | 'user',
  texts: readonly string[],
): NamedDirectory | undefined {
  for (const form of row.directory) {
    if (form.stands !== stands) continue;
    for (const text of texts) {
      const found = form.form.exec(text);
      if (found === null) continue;
      const path = found[1]?.trimEnd();
      // Of a client that is not known, whose words these are is a guess: they must agree.
      const rest = row === unknownClient ? text.slice(found.index + found[0].length) : '';
      const other = row === unknownClient ? form.form.exec(rest)?.[1]?.trimEnd() : undefined;
      if (path !== undefined && path !== '' && (other ?? path) === path)
        return { path, root: found[2]?.trimEnd() };
    }
  }
  return undefined;
}

function textsIn({ content }: SaidMessage): readonly string[] {
  const texts = typeof content === 'string' ? [content] : (content ?? []).map(({ text }) => text);
  return texts.filter(
    (text): text is string => typeof text === 'string' && text.length <= maxClientText,
  );
}

/** A client's name for its conversation, by members of the body. */
export function conversationIn(
  { conversation }: ClientKind,
  body: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const way of conversation.members) {
    let value: unknown = body;
    for (const step of way)
      value = typeof step === 'string' ? memberOf(value, step) : pieceOf(value, step);
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

const namingMembers: ReadonlySet<unknown> = new Set(
  allClients.flatMap(({ conversation }) => conversation.members.map(([first]) => first)),
);

/** Of a request's members those in which some client names its conversation. */
export function membersThatName(
  request: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(request).filter(([name]) => namingMembers.has(name)));
}

/** The root of the project that a client's header names, as {@link ClientKind.rootHeader} says. */
export function rootIn(
  { rootHeader }: ClientKind,
  valueOf: (header: string) => string | undefined,
): string | undefined {
  if (rootHeader === undefined) return undefined;
  const named = memberOf(valueOf(rootHeader.name) ?? '', rootHeader.member);
  if (typeof named !== 'object' || named === null) return undefined;
  const [root, ...others] = Object.keys(named);
  // Of several it is not said which one is the chat's.
  return others.length === 0 ? root : undefined;
}

function pieceOf(value: unknown, form: RegExp): string | undefined {
  return typeof value === 'string' ? form.exec(value)?.[1] : undefined;
}

/** A member of an object, or of one that stands as JSON in a text. */
function memberOf(value: unknown, name: string): unknown {
  let object = value;
  if (typeof value === 'string') {
    try {
      object = JSON.parse(value);
    } catch {
      // A name of another kind, such as a plain id of a user.
      return undefined;
    }
  }
  if (typeof object !== 'object' || object === null) return undefined;
  return (object as Readonly<Record<string, unknown>>)[name];
}

const prunedMarkers: ReadonlySet<string> = new Set(
  allClients.flatMap((client) => client.prunedMarkers),
);

/**
 * Whether a tool output is nothing but a client's own mark of one that it has pruned. Never stored,
 * never taken for the original.
 */
export function isPruned(output: unknown): boolean {
  return typeof output === 'string' && prunedMarkers.has(output.trim());
}

/**
 * The arguments (JSON) of the call that has read the file which the next part of a user message is
 * the content of, if this part is a client's note that says so.
 */
export function attachmentArguments(text: string): string | undefined {
  for (const { attachmentLead } of knownClients) {
    const found = attachmentLead?.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

const readTools: ReadonlySet<string> = new Set(allClients.flatMap((client) => client.readTools));

/** Whether a model asks for one text and no more with a tool of this name. */
export function isReadTool(name: string): boolean {
  return readTools.has(name);
}

/** Members of a call's arguments that name the file or the address it is about. */
export const pathArguments: readonly string[] = [
  ...new Set(allClients.flatMap((client) => client.pathArguments)),
];

/** Whether a client, by its `user-agent` header, reads meaning into the words of an error. */
export function readsErrorWords(userAgent: string | undefined): boolean {
  return (
    userAgent !== undefined &&
    knownClients.some(
      ({ known, readsErrorWords: reads }) => reads === true && known.userAgent?.test(userAgent),
    )
  );
}

/** Where clients ask, by HEAD, whether a server is there. */
export const probedPaths: readonly string[] = [
  ...new Set(allClients.flatMap(({ probes }) => probes ?? [])),
];

const reminders: readonly RegExp[] = [
  ...new Map(
    allClients.flatMap((client) => client.reminders).map((form) => [form.source, form]),
  ).values(),
];

/** What reminders begin with: most texts have none. */
const reminderMark = /<(?:system-reminder|environment_details|environment_context)>/;

/** A user's text without what a client has put into it. */
export function withoutReminders(text: string): string {
  if (!reminderMark.test(text)) return text;
  return reminders.reduce((left, form) => left.replace(form, ''), text).trimEnd();
}

/** What a client has put into a user's text. */
export function remindersIn(text: string): readonly string[] {
  if (!reminderMark.test(text)) return [];
  return reminders.flatMap((form) => text.match(form) ?? []);
}
