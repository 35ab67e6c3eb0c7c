import type { Session } from '../../store/types.ts';

/** One answer of a part, as programs see it. */
type KeptAnswer = Readonly<Record<string, unknown>>;

/** Questions per session whose answers are kept; the oldest go first. */
const maxQuestions = 20;

/** Their text together, UTF-16 units. */
const maxChars = 8_000_000;

interface Kept {
  count: number;
  readonly answers: Map<string, { readonly all: readonly KeptAnswer[]; readonly chars: number }>;
}

const bySession = new WeakMap<Session['store'], Kept>();

/** Keeps a question's answers by part, while the session is open. Returns their id, `q1` and on. */
export function keepAnswers({ store }: Session, all: readonly KeptAnswer[]): string {
  const kept = bySession.get(store) ?? { count: 0, answers: new Map() };
  bySession.set(store, kept);
  kept.count += 1;
  const id = `q${kept.count}`;
  kept.answers.set(id, { all, chars: JSON.stringify(all).length });
  const sum = (): number => [...kept.answers.values()].reduce((chars, one) => chars + one.chars, 0);
  while (kept.answers.size > 1 && (kept.answers.size > maxQuestions || sum() > maxChars))
    kept.answers.delete(kept.answers.keys().next().value as string);
  return id;
}

/** The answers that were kept under an id; a sentence where there are none. */
export function keptAnswers({ store }: Session, id: string): readonly KeptAnswer[] | string {
  const kept = bySession.get(store)?.answers;
  const found = kept?.get(id);
  if (found !== undefined) return found.all;
  const there = kept === undefined || kept.size === 0 ? 'none' : [...kept.keys()].join(', ');
  return `No answers are kept under ${JSON.stringify(id)} (there are: ${there}); they are lost at a restart. Ask again with rlm_query.`;
}
