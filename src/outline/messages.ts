import { countOf } from '../base/numbers.ts';
import { addTo, tally, type Landmark, type TextView } from './text-view.ts';

/** One message of a compiler or linter. */
interface Message {
  readonly index: number;
  readonly isError: boolean;
  readonly file: string | undefined;
  readonly rule: string | undefined;
}

const levels = 'error|warning|style|performance|portability|information|refactor|convention';

/** `file:line:column: error: …`, as gcc, javac, mypy, cppcheck print it. */
const named = new RegExp(
  `^(\\S[^:\\n]*?):\\d+(?::\\d+)?: (?:fatal )?(${levels})\\b:? ?.*?(?:\\[([\\w.-]+)(?:=\\w*)?\\])?$`,
  'i',
);
/** `file(line,column): error TS1234: …`, as tsc and MSBuild print it. */
const bracketed = /^(\S.*?)\(\d+(?:,\d+)?\): (error|warning) ?(\w+)?/;
/** `file:line:column - error TS1234: …`. */
const dashed = /^(\S.*?):\d+:\d+ - (error|warning) ?(TS\d+)?/;
/** `file:line:column: E501 …`, as flake8, ruff, pylint, rubocop print it. */
const coded =
  /^(\S[^:\n]*?):\d+:\d+: ([A-Z]{1,4}\d{1,4}|[CWEFRI])(?:\b|:)(?: (?:\[\w+\] )?(\w+\/\w+))?/;
/** `error[E0308]: …`, with the file in one of the next lines. */
const rust =
  /^(error|warning)(?:\[(\w+)\])?: (?!could not compile|aborting|.* generated \d+ warn|test failed)/;
const arrow = /^\s*--> (\S+?):\d+:\d+/;
/** `  12:5  error  …  rule`, under the file's name. */
const indented = /^\s+\d+:\d+\s+(error|warning)\s+.*?(?:\s{2,}(\S+)|\(([\w-]+)\))?$/;
/** `^--^ SC2086 (warning): …`, under `In file line 3:`. */
const shell = /^\s*\^-*\^? (SC\d+) \((\w+)\): /;
const shellFile = /^In (\S+) line \d+:$/;
/** `file.go:3:5: …`, without a level. */
const plain = /^(\S+\.\w+):\d+:\d+: \S/;

const closing =
  /^(?:Found \d+ (?:errors?|issues?)|✖ \d+ problems?|\d+ (?:errors?|warnings?)\b|error: could not compile|error: aborting|Your code has been rated|\d+ files? inspected|\w*make(?:\[\d+\])?: \*\*\*|BUILD FAILED|Build failed|Success: no issues)/;

/** How sure it is that a text comes from a compiler or linter, 0 to 1. */
export function messagesScore(view: TextView): number {
  const messages = messagesIn(view, 400);
  if (messages.length === 0) return 0;
  const closes = view.find(closing, 1).length > 0;
  if (messages.length === 1 && !closes) return 0;
  const share = messages.length / Math.max(1, Math.min(view.sample.length, 400));
  if (share < 0.02 && !closes) return 0;
  // A source or a log holds no two lines in a compiler's very form.
  const isSure = view.hits(named) + view.hits(bracketed) + view.hits(dashed) >= 2;
  return Math.min(0.96, Math.max(isSure ? 0.91 : 0, 0.6 + share)) + (closes ? 0.03 : 0);
}

/** Counts by level, file and rule; the first errors, and the line it closes with. */
export function messagesLandmarks(view: TextView): Landmark[] {
  const messages = messagesIn(view);
  const errors = messages.filter(({ isError }) => isError);
  const files = new Map<string, number>();
  const rules = new Map<string, number>();
  for (const { file, rule } of messages) {
    if (file !== undefined) addTo(files, file);
    if (rule !== undefined) addTo(rules, rule);
  }
  const counts = [
    ...(errors.length > 0 ? [countOf(errors.length, 'error')] : []),
    ...(messages.length > errors.length
      ? [countOf(messages.length - errors.length, 'warning or note', 'warnings or notes')]
      : []),
  ].join(', ');
  const items: Landmark[] = [
    {
      text:
        files.size === 0
          ? counts
          : `${counts} in ${countOf(files.size, 'file')}: ${tally(files, 5)}`,
    },
  ];
  if (rules.size > 1) items.push({ text: `by rule: ${tally(rules, 6)}` });
  for (const { index } of view.find(closing).slice(-1)) items.push(view.landmark(index));
  const first = errors.length > 0 ? errors : messages;
  // One of each rule tells more than five of the same.
  const seen = new Set<string>();
  for (const { index, rule } of first) {
    const key = rule ?? String(index);
    if (seen.has(key)) continue;
    seen.add(key);
    items.push(view.landmark(index));
    if (seen.size === 5) break;
  }
  return items;
}

function messagesIn(view: TextView, maxLines = Infinity): Message[] {
  const found: Message[] = [];
  let heading: string | undefined;
  const end = Math.min(view.lines.length, maxLines);
  for (let index = 0; index < end; index += 1) {
    const line = view.line(index);
    // All forms have a colon, or begin with blanks: most lines are passed over at once.
    if (line.length < 4) continue;
    const code = line.charCodeAt(0);
    if (code !== 32 && code !== 9 && /^\S*[/.]\S*$/.test(line)) heading = line.replace(/:$/, '');
    const message = messageOf(view, index, line, heading);
    if (message !== undefined) found.push(message);
    const inFile = shellFile.exec(line)?.[1];
    if (inFile !== undefined) heading = inFile;
  }
  return found;
}

function messageOf(
  view: TextView,
  index: number,
  line: string,
  heading: string | undefined,
): Message | undefined {
  let found = named.exec(line);
  if (found !== null)
    return { index, file: found[1], isError: /error/i.test(found[2] ?? ''), rule: found[3] };
  found = bracketed.exec(line) ?? dashed.exec(line);
  if (found !== null)
    return { index, file: found[1], isError: found[2] === 'error', rule: found[3] };
  found = coded.exec(line);
  if (found !== null)
    return {
      index,
      file: found[1],
      isError: /^[EF]/.test(found[2] ?? ''),
      rule: found[3] ?? found[2],
    };
  found = rust.exec(line);
  if (found !== null) {
    const at = [1, 2, 3]
      .map((step) => arrow.exec(view.line(index + step))?.[1])
      .find((file) => file !== undefined);
    return at === undefined && found[2] === undefined
      ? undefined
      : { index, file: at, isError: found[1] === 'error', rule: found[2] };
  }
  found = indented.exec(line);
  if (found !== null)
    return { index, file: heading, isError: found[1] === 'error', rule: found[2] ?? found[3] };
  found = shell.exec(line);
  if (found !== null)
    return { index, file: heading, isError: found[2] === 'error', rule: found[1] };
  found = plain.exec(line);
  if (found !== null && !/: (?:note|info|help)\b/.test(line))
    return { index, file: found[1], isError: true, rule: undefined };
  return undefined;
}
