import type { Entry, Forgetting } from '../types.ts';

const reasons: Readonly<Record<Forgetting['why'], string>> = {
  asked: 'a person asked for it',
  secret: 'it was taken for a secret',
  quota: 'to keep the store in its bounds',
  age: 'it was older than texts are kept',
};

/** Says of an entry that its text is gone, since when, and why. */
export function goneSentence({ id }: Pick<Entry, 'id'>, { timeMs, why }: Forgetting): string {
  const day = new Date(timeMs).toISOString().slice(0, 10);
  return `The text of ${id} was forgotten on ${day}: ${reasons[why]}. It is not in the store any more, and no search finds it.`;
}

/** Says of an entry that parts of its text are gone. */
export function maskedSentence({ id }: Pick<Entry, 'id'>, { timeMs, why }: Forgetting): string {
  const day = new Date(timeMs).toISOString().slice(0, 10);
  return `Parts of ${id} were forgotten on ${day}: ${reasons[why]}. \`#\` and \`█\` stand in their place.`;
}
