import { countChars } from '../pieces.ts';
import { askAll, type SubModel, type SubQuestion } from '../sub-model.ts';

/** Room for the line above an answer, code points. */
const headingChars = 160;

/** An answer to be merged, and what it is about. */
export interface NamedAnswer {
  /** `part 3 of 12: src/x.ts (e7), lines 400-620`. */
  readonly name: string;
  readonly text: string;
}

/** What the merging is to do. */
interface MergeTask {
  /** What was asked about each part. */
  readonly question: string;
  /** What is to be made of the answers. */
  readonly instruction: string;
}

/**
 * One more sub-call over all answers; over groups of them first, where they are too long for one.
 */
export async function mergeAnswers(
  task: MergeTask,
  answers: readonly NamedAnswer[],
  { subModel, signal }: { readonly subModel: SubModel; readonly signal: AbortSignal },
): Promise<{ readonly merged: string } | { readonly merge_failed: string }> {
  let all = answers;
  for (;;) {
    const groups = groupAnswers(all, subModel.maxTextChars);
    const merged = await askAll(mergeQuestions(task, groups), subModel, signal);
    const failed = merged.find((answer) => !answer.ok);
    if (failed?.ok === false) return { merge_failed: failed.error };
    const next = merged.map((answer, index) => ({
      name: `merged answers, group ${index + 1} of ${groups.length}`,
      text: answer.ok ? answer.text : '',
    }));
    if (next.length === 1) return { merged: next[0]?.text ?? '' };
    if (next.length >= all.length)
      return { merge_failed: 'the answers are too long to be merged: ask for shorter ones' };
    all = next;
  }
}

async function* mergeQuestions(
  { question, instruction }: MergeTask,
  groups: readonly string[],
): AsyncGenerator<SubQuestion, void, void> {
  for (const [index, text] of groups.entries()) {
    const part =
      groups.length === 1
        ? ''
        : ` These are group ${index + 1} of ${groups.length} of the answers: keep what a later merging of the groups needs.`;
    yield {
      task: 'merge',
      question: `${instruction}${part}\n\nEach part of the text was asked this:\n${question}`,
      text,
      label: `merging ${index + 1} of ${groups.length}`,
    };
  }
}

function groupAnswers(answers: readonly NamedAnswer[], maxChars: number): readonly string[] {
  const groups: string[] = [];
  let open = '';
  for (const { name, text } of answers) {
    const heading = `--- ${name.slice(0, headingChars - 10)} ---\n`;
    const piece = `${heading}${text.slice(0, Math.max(0, maxChars - heading.length - 1)).toWellFormed()}\n`;
    if (open !== '' && countChars(open) + countChars(piece) > maxChars) {
      groups.push(open);
      open = '';
    }
    open += piece;
  }
  return [...groups, open];
}
