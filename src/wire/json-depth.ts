import { ProxyError } from '../errors.ts';

/** Answers nested deeper than this are refused: what walks over values would run out of stack. */
const maxJsonDepth = 1_000;

/** Whether a parsed value is nested deeper than {@link maxJsonDepth}. Looks at each member once. */
export function isTooDeep(value: unknown): boolean {
  let level: object[] = isContainer(value) ? [value] : [];
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > maxJsonDepth) return true;
    const next: object[] = [];
    for (const container of level)
      for (const member of Object.values(container) as readonly unknown[])
        if (isContainer(member)) next.push(member);
    level = next;
  }
  return false;
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/**
 * Refuses a value that was parsed from a text of this length, UTF-16 units, if it is nested too
 * deep; a short one cannot be.
 * @throws ProxyError `upstream_failed`
 */
export function checkDepth(value: unknown, length: number): void {
  if (length <= maxJsonDepth || !isTooDeep(value)) return;
  throw new ProxyError(
    'upstream_failed',
    `The upstream sent an answer that is nested more than ${maxJsonDepth} levels deep.`,
    { retryable: false, hint: 'No repetition mends that: ask whoever runs the model.' },
  );
}
