import { countOf, grouped } from '../base/numbers.ts';
import { shortCount, size } from './numbers.ts';

/** What `/health` says; a server of another version may leave things out. */
type Health = Readonly<Record<string, unknown>>;

/**
 * What a server has done and saved since it started, in sentences. Numbers of tokens are the
 * provider's own, but what would have been sent without us is an estimate.
 */
export function savedText(health: Health): string {
  const turns = numberOf(health, 'turns');
  if (turns === 0) return 'It has answered no turn yet.\n';
  const sentences = [
    `${countOf(turns, 'turn')} in ${countOf(numberOf(health, 'steps'), 'step')}, with ${countOf(numberOf(health, 'toolCalls'), 'call')} of its own tools; ${countOf(numberOf(health, 'storedTexts'), 'text')} stored.`,
    ...tokenSentences(health),
  ];
  return `${sentences.join('\n')}\n`;
}

function tokenSentences(health: Health): string[] {
  const sent = numberOf(health, 'promptTokens');
  const cached = numberOf(health, 'cachedTokens');
  const without = numberOf(health, 'estimatedTokensWithout');
  if (sent === 0) return [];
  const share = cached === 0 ? '' : `, ${percent(cached / sent)} of them from its cache`;
  const lines = [`Sent to the provider: ${grouped(sent)} prompt tokens${share}.`];
  const saved = without - sent;
  if (without === 0 || Math.abs(saved) < minSaidTokens) return lines;
  lines.push(
    saved > 0
      ? `Without it the same turns would have sent about ${shortCount(without)}: ${percent(saved / without)} saved.`
      : `Without it the same turns would have sent about ${shortCount(without)}, once each: hidden steps came to ${shortCount(-saved)} more.`,
  );
  return lines;
}

/** The estimate is not better than this, tokens. */
const minSaidTokens = 1000;

/** How the process is: memory, requests, what is wrong. */
export function conditionText(health: Health): string {
  const live = numberOf(health, 'live');
  const parts = [
    `version ${String(health['version'])}`,
    `${size(numberOf(health, 'peakMemoryBytes'))} of memory at most`,
    live === 0 ? 'nothing under way' : `${countOf(live, 'request')} under way`,
  ];
  const lines = [`${parts.join(', ')}.`];
  const fault = health['lastStoreFault'];
  if (typeof fault === 'string')
    lines.push(`Something could not be stored (${fault}): \`rlm-opencode doctor\` says more.`);
  const shared = sharedSentence(health['sharedStore']);
  if (shared !== undefined) lines.push(shared);
  const tidied = tidiedSentence(health['lastTidying']);
  if (tidied !== undefined) lines.push(tidied);
  const bare = health['modelsWithoutTools'];
  if (Array.isArray(bare) && bare.length > 0)
    lines.push(`These models take no tools, so nothing is kept out for them: ${bare.join(', ')}.`);
  return `${lines.join('\n')}\n`;
}

/** What is to be said of a store that machines share; nothing where all is well. */
function sharedSentence(told: unknown): string | undefined {
  if (typeof told !== 'object' || told === null) return undefined;
  const { isAway, waitingRows: rows, waitingBytes: bytes } = told as Health;
  const waiting = `${countOf(Number(rows), 'row')} (${size(Number(bytes))})`;
  if (isAway === true) {
    const wait = Number(rows) === 1 ? 'waits' : 'wait';
    return `The shared store is away: chats go on, and ${waiting} ${wait} here for it.`;
  }
  return Number(rows) === 0 ? undefined : `${waiting} are being sent to the shared store.`;
}

/** What was done last to keep the stores in their bounds. */
function tidiedSentence(last: unknown): string | undefined {
  if (typeof last !== 'object' || last === null) return undefined;
  const { atMs, texts, bytes, isFull } = last as Health;
  const when = new Date(Number(atMs)).toISOString().slice(0, 16).replace('T', ' ');
  const gone = Number(texts);
  const went =
    gone === 0 ? '' : `Made room at ${when} UTC: ${countOf(gone, 'text')}, ${size(Number(bytes))}.`;
  const full =
    isFull === true
      ? 'A quota is used up and nothing more may go: `rlm-opencode sessions gc --dry-run`.'
      : '';
  return [went, full].filter((sentence) => sentence !== '').join(' ') || undefined;
}

function numberOf(health: Health, name: string): number {
  const value = health[name];
  return typeof value === 'number' ? value : 0;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
