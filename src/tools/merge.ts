import { countChars } from './pieces.ts';
import { askAll, type SubModel, type SubQuestion } from './sub-model.ts';

/** Room for the line above an answer, code points. */
const headingChars = 40;

/**
 * One more sub-call over all answers; over groups of them first, where they are too long for one.
 */
export async function mergeAnswers(
  question: string,
  answers: readonly string[],
  { subModel, signal }: { readonly subModel: SubModel; readonly signal: AbortSignal },
): Promise<{ readonly merged: string } | { readonly merge_failed: string }> {
  let texts = answers;
  for (;;) {
    const groups = groupTexts(texts, subModel.maxTextChars);
    const merged = await askAll(mergeQuestions(question, groups), subModel, signal);
    const failed = merged.find((answer) => !answer.ok);
    if (failed?.ok === false) return { merge_failed: failed.error };
    const next = merged.map((answer) => (answer.ok ? answer.text : ''));
    if (next.length === 1) return { merged: next[0] ?? '' };
    if (next.length >= texts.length)
      return { merge_failed: 'the answers are too long to be merged: ask for shorter ones' };
    texts = next;
  }
}

async function* mergeQuestions(
  question: string,
  groups: readonly string[],
): AsyncGenerator<SubQuestion, void, void> {
  for (const [index, text] of groups.entries())
    yield { question, text, label: `merging ${index + 1} of ${groups.length}` };
}

function groupTexts(texts: readonly string[], maxChars: number): readonly string[] {
  const groups: string[] = [];
  let open = '';
  for (const [index, text] of texts.entries()) {
    const piece = `--- answer ${index + 1} ---\n${text.slice(0, maxChars - headingChars)}\n`;
    if (open !== '' && countChars(open) + countChars(piece) > maxChars) {
      groups.push(open);
      open = '';
    }
    open += piece;
  }
  return [...groups, open];
}
