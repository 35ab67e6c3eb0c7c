/**
 * What stubs said of a text before entries had an outline of their own (`src/outline/`): of such
 * entries they say it for ever. Works on the first part of a text only.
 */
interface HeadOutline {
  /** A short name of the type, such as `JSON`, `log`, `TypeScript or JavaScript`. */
  readonly type: string;
  /** At most {@link maxItems} lines, each at most {@link maxItemChars} characters. */
  readonly items: readonly string[];
}

/** Enough to aim by; more would be a summary, and a summary rots. */
const maxItems = 12;
const maxItemChars = 120;

interface Recogniser {
  readonly type: string;
  /** The share of sampled lines that must match `line`; or a test of the whole head. */
  readonly line?: RegExp;
  readonly share?: number;
  readonly head?: RegExp;
  /** Lines worth listing. */
  readonly landmark?: RegExp;
}

/** In order of how sure they are; the first that fits wins. */
const recognisers: readonly Recogniser[] = [
  {
    type: 'diff',
    head: /^(diff --git |--- \S.*\n\+\+\+ )/m,
    landmark: /^(?:diff --git|\+\+\+) .+/,
  },
  { type: 'directory listing', head: /^<path>[^\n]*<\/path>\n<type>directory<\/type>/ },
  {
    type: 'HTML or XML',
    head: /^\s*<(?:!doctype|html|\?xml|svg)\b/i,
    landmark: /<(?:title|h[1-3])\b[^>]*>.*/i,
  },
  {
    type: 'stack trace',
    head: /^(?:Traceback \(most recent call last\)|\S*(?:Error|Exception)[^\n]*\n\s+at )/m,
    landmark: /^(?:\S*(?:Error|Exception)\b.*|Traceback.*)/,
  },
  { type: 'search results', line: /^(?:[^\s:]+:\d+[:-]|\s+Line \d+: )/, share: 0.5 },
  {
    type: 'log',
    line: /(?:^|\[|\s)(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d\d:\d\d:\d\d)|\b(?:ERROR|WARN(?:ING)?|INFO|DEBUG|TRACE|FATAL)\b/,
    share: 0.4,
    landmark: /\b(?:ERROR|FATAL|panic|Exception)\b.*/,
  },
  { type: 'Markdown', line: /^(?:#{1,6} |\s*[-*] |```|> )/, share: 0.2, landmark: /^#{1,4} .+/ },
  {
    type: 'Python',
    line: /^\s*(?:\d+: ?)?(?:def |class |import |from \S+ import |@\w)/,
    share: 0.05,
    landmark: /^\s*(?:\d+: ?)?(?:async def |def |class )[^\n]*/,
  },
  {
    type: 'TypeScript or JavaScript',
    line: /^\s*(?:\d+: ?)?(?:import |export |const |let |function |class |interface |type )/,
    share: 0.08,
    landmark: /^(?:\d+: ?)?(?:export |async function |function |class |interface ).*/,
  },
  {
    type: 'Go, Rust, Java or C',
    line: /^\s*(?:\d+: ?)?(?:func |fn |pub |package |impl |struct |public |private |#include |static )/,
    share: 0.05,
    landmark: /^(?:\d+: ?)?(?:func |pub |impl |struct |public |type ).*/,
  },
  { type: 'paths', line: /^(?:\.{0,2}\/)?[\w.@-]+(?:\/[\w.@+-]+)+\/?$/, share: 0.7 },
  { type: 'comma-separated values', line: /^[^,\n]*(?:,[^,\n]*){3,}$/, share: 0.9 },
];

/**
 * Tells what `head` (the first part of a text, or all of it) is. Pure; linear in the length of
 * `head`.
 */
export function earlierOutlineOf(head: string): HeadOutline {
  const json = jsonOutline(head);
  if (json !== undefined) return json;
  const lines = head.split('\n');
  const sample = lines.slice(0, 200).filter((line) => line.trim() !== '');
  const found = recognisers.find((recogniser) => fits(recogniser, head, sample));
  if (found === undefined) return { type: 'text', items: [] };
  return {
    type: found.type,
    items: found.landmark === undefined ? [] : landmarks(lines, found.landmark),
  };
}

function fits(recogniser: Recogniser, head: string, sample: readonly string[]): boolean {
  if (recogniser.head !== undefined) return recogniser.head.test(head.slice(0, 4_000));
  const { line, share } = recogniser;
  if (line === undefined || share === undefined || sample.length === 0) return false;
  // Long lines are cut so that no expression above meets more than it was written for.
  const hits = sample.filter((text) => line.test(text.slice(0, 300))).length;
  return hits / sample.length >= share;
}

function landmarks(lines: readonly string[], landmark: RegExp): string[] {
  const items: string[] = [];
  let left = 0;
  for (const [index, line] of lines.entries()) {
    const found = landmark.exec(line.slice(0, 300));
    if (found === null) continue;
    if (items.length < maxItems) items.push(`line ${index + 1}: ${clip(found[0].trim())}`);
    else left += 1;
  }
  if (left > 0) items.push(`and ${left} more like these`);
  return items;
}

function jsonOutline(head: string): HeadOutline | undefined {
  if (!/^\s*[[{]\s*["[{\d\]}tfn-]/.test(head.slice(0, 200))) return undefined;
  const rows = head.split('\n', 3);
  if (rows.length > 1 && rows.slice(0, 2).every(isJson))
    return { type: 'JSON lines', items: [`first record: ${clip(rows[0] ?? '')}`] };
  const keys = [
    ...head.slice(0, 20_000).matchAll(/(?:^\s*\{\s*|\n {1,4}|\n\t)"([^"\\\n]{1,60})"\s*:/g),
  ].map((found) => found[1] ?? '');
  const distinct = [...new Set(keys)];
  const items = distinct.length === 0 ? [] : [`keys: ${clip(distinct.slice(0, 20).join(', '))}`];
  return { type: 'JSON', items };
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    // Not JSON on its own line: then it is not JSON lines.
    return false;
  }
}

function clip(text: string): string {
  const chars = Array.from(text);
  return chars.length <= maxItemChars ? text : `${chars.slice(0, maxItemChars - 1).join('')}…`;
}
