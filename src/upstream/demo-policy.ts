import { withoutReminders } from '../clients/known-clients.ts';
import type { Message, PlainRequest } from '../wire/types.ts';
import { readSearch, readStats, type ReadHit } from './shown-results.ts';

/** What a script does next: say something, or call tools. */
export interface ScriptedTurn {
  readonly text?: string;
  readonly calls?: readonly {
    readonly name: string;
    readonly args: Readonly<Record<string, unknown>>;
  }[];
}

/**
 * A script that plays a model: the next turn, from the conversation alone. Undefined when the
 * conversation is none of its business.
 */
export type Policy = (request: PlainRequest) => ScriptedTurn | undefined;

/** Stands in every answer, so that nobody takes the script for a model. */
export const scriptNotice = '[demo script, not a language model]';

/** So much around a hit is read: characters of a long line, else lines. */
const readAround = 300;
const readAroundLines = 3;

/**
 * The demo's policy: look at the store, find what the question quotes or names, read around the
 * newest hit, answer with the line and its place. It really calls the tools; it understands
 * nothing.
 */
export const lookUpPolicy: Policy = (request) => {
  const question = newestQuestion(request.messages);
  const names = new Set((request.tools ?? []).map((tool) => tool.function?.name));
  const hasTools = names.has('rlm_find');
  // A chat that has not opened the store yet has one tool, and its first result is of that.
  if (!hasTools && names.has('rlm_search')) return { calls: [{ name: 'rlm_search', args: {} }] };
  const results = resultsAfterQuestion(request.messages).filter((text) => !isOpening(text));
  if (!hasTools)
    return {
      text: `${scriptNotice} Nothing is stored for this conversation, so there is nothing to look up. A model that answers is set up by rlm-opencode init.`,
    };
  const terms = termsOf(question);
  switch (results.length) {
    case 0:
      return { calls: [{ name: 'rlm_stats', args: { newest: 3 } }] };
    case 1:
      if (terms.length === 0)
        return {
          text: `${scriptNotice} ${storeSentence(results[0])} Put what you look for in quotes.`,
        };
      return {
        calls: [
          {
            name: 'rlm_search',
            args: { pattern: terms.map(escapePattern).join('|'), max_results: 20 },
          },
        ],
      };
    case 2: {
      const hit = firstHit(results[1], question);
      // What was not searched to its end is not said to be absent.
      if (hit === undefined && readSearch(results[1] ?? '')?.isPartial !== false)
        return { text: `${scriptNotice} The search came to no end:\n\n${results[1]}` };
      if (hit === undefined)
        return {
          text: `${scriptNotice} ${storeSentence(results[0])} Nothing in it contains ${terms.map((term) => JSON.stringify(term)).join(' or ')}.`,
        };
      // A long line is read around the match, any other with the lines around it.
      const args =
        hit.offset === undefined
          ? { entry: hit.entry, line: hit.line, around: readAroundLines }
          : { offset: Math.max(0, hit.offset - readAround), length: 2 * readAround };
      return { calls: [{ name: 'rlm_get_context', args }] };
    }
    default: {
      const hit = firstHit(results[1], question);
      if (hit === undefined) return { text: `${scriptNotice} The search found nothing.` };
      const total = readSearch(results[1] ?? '')?.total ?? 0;
      return {
        text: `${scriptNotice} Found in ${hit.entry} (${hit.label}), line ${hit.line}:\n\n${hit.text}\n\n(${total} matching lines in all.)`,
      };
    }
  }
};

/**
 * What the newest user message asks. Of several parts it is the last: clients put attached files
 * before it, and only reminders after it.
 */
export function newestQuestion(messages: readonly Message[]): string {
  const message = messages.findLast((each) => each.role === 'user');
  const content = message?.content;
  if (typeof content === 'string') return content;
  const texts = (content ?? []).map((part) => withoutReminders(part.text ?? ''));
  return texts.findLast((text) => text !== '') ?? '';
}

/** Whether a result is that of the call which has opened the store. */
function isOpening(result: string): boolean {
  return result.startsWith('note: the context store is open');
}

/** The tool results after it, oldest first, as texts. */
export function resultsAfterQuestion(messages: readonly Message[]): readonly string[] {
  const from = messages.findLastIndex((each) => each.role === 'user');
  return messages
    .slice(from + 1)
    .flatMap((each) =>
      each.role === 'tool' && typeof each.content === 'string' ? [each.content] : [],
    );
}

/**
 * What a question quotes; else the words in it that look like names (digits, underscores, inner
 * capitals, dashes). At most three.
 */
function termsOf(question: string): readonly string[] {
  // A long pasted text stands in the prompt as a stub; the question is in the last lines of what it
  // shows.
  const asked = (question.split(/\n--- end ---\nRead it with rlm_/)[0] ?? '').slice(-2_000);
  const quoted = [
    ...asked.matchAll(
      /"([^"\n]{2,200})"|`([^`\n]{2,200})`|“([^”\n]{2,200})”|「([^」\n]{2,200})」/g,
    ),
  ].map((found) => found.slice(1).find((group) => group !== undefined) ?? '');
  // `opencode run` puts the whole message in quotes.
  const inner = quoted.filter((term) => term.length < asked.trim().length - 2);
  if (inner.length > 0) return inner.slice(-3);
  const words = asked.match(/[\p{L}\p{N}_$.-]{3,}/gu) ?? [];
  const names = words
    .map((word) => word.replace(/^[.-]+|[.-]+$/g, ''))
    .filter((word) => /\d|_|-|[a-z][A-Z]|\.[a-z]{1,4}$/.test(word) && word.length >= 3);
  return [...new Set(names)].slice(-3);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}

/**
 * The first hit that is not the question itself, which may be stored with the text it was asked
 * about.
 */
function firstHit(result: string | undefined, question: string): ReadHit | undefined {
  const hits = readSearch(result ?? '')?.hits ?? [];
  return hits.find((hit) => !question.includes(hit.text)) ?? hits[0];
}

function storeSentence(result: string | undefined): string {
  const { characters = 0, entries = 0 } = readStats(result ?? '') ?? {};
  return `The store holds ${characters} characters in ${entries} entries.`;
}
