/**
 * Programs that the scripted policies run with `rlm_exec` over real texts: what a good model would
 * write for each question. Each ends with an expression, the answer, or hands a long one over.
 */

/** Only the changelogs, only the mails. */
const changelogs = "{ path: 'changelogs/**', with: 'path' }";
const mails = "{ path: 'mails/**', with: 'path' }";

/** How a changelog's entry ends; who and the month captured. */
const signatures = String.raw`/^ -- (.+?) <[^>]*> {1,2}\w{3}, +\d{1,2} (\w{3} \d{4})/`;

/** The line of its heading, the package and its urgency captured, or that of its signature. */
const headingsAndSignatures = String.raw`/^([a-z0-9][a-z0-9.+-]*) \([^)]+\) [^;]+;.*urgency=(\w+)|^ -- (.+?) <[^>]*> {1,2}\w{3}, +\d{1,2} (\w{3} \d{4})/`;

/** A text as a JavaScript literal. */
function literal(value: unknown): string {
  return JSON.stringify(value);
}

/** Counting, and the order in which of several with one count the first by name comes first. */
const counting = `const byName = (a, b) => (a < b ? -1 : 1);
const countBy = (items) => {
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
};
const ranked = (counts) => [...counts].sort((a, b) => b[1] - a[1] || byName(a[0], b[0])).map(([name]) => name);
const pairsOf = (names) => names.flatMap((first, at) => names.slice(at + 1).map((second) => [first, second]));
const pairText = (pair) => [...pair].sort(byName).join(' + ');
const setsBy = (items, key, value) => {
  const sets = new Map();
  for (const item of items) sets.set(key(item), (sets.get(key(item)) ?? new Set()).add(value(item)));
  return sets;
};
const handOver = (pairs) => {
  answer('ANSWER: ' + pairs.join('; '));
  return pairs.length + ' pairs';
};
const shared = (a, b) => [...(a ?? [])].filter((one) => b?.has(one)).length;
`;

/** How many entries have an urgency. */
export function urgencyProgram(urgency: string): string {
  const pattern = String.raw`/^[a-z0-9][a-z0-9.+-]* \([^)]+\) [^;]+;.*urgency=${urgency}(?!\w)/`;
  return `context.group(${pattern}, [], { path: 'changelogs/**' })[0].count`;
}

/** The person (1) or month (2) that stands most often in signatures. */
export function mostSignedProgram(group: 1 | 2): string {
  return `const groups = context.group(${signatures}, ${group}, { path: 'changelogs/**' });
groups.filter((one) => one.count === groups[0].count).map((one) => one.value).sort()[0]`;
}

/** The version in the n-th heading of a package. */
export function versionProgram(name: string, entry: number): string {
  return `const headings = context.records(/^([a-z0-9][a-z0-9.+-]*) \\(([^)]+)\\) [^;]+;.*urgency=\\w/, { path: 'changelogs/**' });
headings.filter(([name]) => name === ${literal(name)})[${entry - 1}][1]`;
}

/** Pairs of those who signed the most, by what they share: files or months. */
export function signersProgram(what: 'files' | 'months', people: number, least: number): string {
  return `${counting}const signed = context.records(${signatures}, ${changelogs});
const names = ranked(countBy(signed.map(([person]) => person))).slice(0, ${people});
const sets = setsBy(signed, ([person]) => person, ([, month, path]) => ${what === 'files' ? 'path' : 'month'});
handOver(pairsOf(names).filter(([a, b]) => shared(sets.get(a), sets.get(b)) >= ${least}).map(pairText))`;
}

/** Pairs of whom one has enough entries of one urgency since a year, the other of another. */
export function joinedSignersProgram(asked: {
  readonly people: number;
  readonly least: number;
  readonly urgency: string;
  readonly year: number;
  readonly otherLeast: number;
  readonly otherUrgency: string;
}): string {
  return `${counting}let open = '';
let file = '';
const signed = [];
for (const [name, urgency, person, month, path] of context.records(${headingsAndSignatures}, ${changelogs})) {
  if (path !== file) open = '';
  file = path;
  if (name) open = urgency;
  else {
    signed.push({ person, year: Number(month.slice(-4)), urgency: open });
    open = '';
  }
}
const names = ranked(countBy(signed.map((one) => one.person))).slice(0, ${asked.people});
const late = countBy(signed.filter((one) => one.urgency === ${literal(asked.urgency)} && one.year >= ${asked.year}).map((one) => one.person));
const other = countBy(signed.filter((one) => one.urgency === ${literal(asked.otherUrgency)}).map((one) => one.person));
const isLate = (name) => (late.get(name) ?? 0) >= ${asked.least};
const isOther = (name) => (other.get(name) ?? 0) >= ${asked.otherLeast};
handOver(pairsOf(names).filter(([a, b]) => (isLate(a) && isOther(b)) || (isLate(b) && isOther(a))).map(pairText))`;
}

/** What the n-th entry of a person in a changelog says, handed over behind the mark. */
export function changesProgram(asked: {
  readonly path: string;
  readonly person: string;
  readonly number: number;
  readonly mark: string;
}): string {
  return `let body = [];
let found = 0;
for (const line of context.text(${literal(asked.path)}).split('\\n')) {
  const isHeading = /^[a-z0-9][a-z0-9.+-]* \\([^)]+\\) [^;]+;.*urgency=\\w/.test(line);
  const person = ${signatures}.exec(line)?.[1];
  if (person === ${literal(asked.person)} && ++found === ${asked.number}) break;
  if (isHeading || person !== undefined) body = [];
  else body.push(line);
}
answer(${literal(asked.mark)} + '\\n' + body.join('\\n'))`;
}

/** The first line of each mail that begins so, without its beginning: `[path, rest]`. */
const firstLines = `const firstOf = (pattern) => {
  const first = new Map();
  for (const [rest, path] of context.records(pattern, ${mails})) if (!first.has(path)) first.set(path, rest);
  return first;
};
const senders = new Map();
for (const [path, line] of firstOf(/^From: (.*)$/)) {
  const address = /[\\w.+=-]+@[\\w.-]+/.exec(line);
  if (address) senders.set(path, address[0].toLowerCase());
}
const months = () => new Map([...firstOf(/^Date: (.*)$/)].map(([path, line]) => [path, (/\\d (\\w{3} \\d{4})/.exec(line) ?? [])[1]]));
const threads = () => new Map([...firstOf(/^Subject: (.*)$/)].map(([path, line]) => [path, line.replace(/^(?:re: *)+/i, '').trim()]));
`;

/** The sender of the most mails. */
export function mostMailsProgram(): string {
  return `${counting}${firstLines}ranked(countBy(senders.values()))[0]`;
}

/** Mails of a month in the folders of spam. */
export function spamProgram(month: string): string {
  return `${firstLines}[...months()].filter(([path, one]) => path.startsWith('mails/spam-') && one === ${literal(month)}).length`;
}

/** Different senders at a domain. */
export function domainProgram(domain: string): string {
  return `${firstLines}new Set([...senders.values()].filter((one) => one.endsWith(${literal(`@${domain}`)}))).size`;
}

/** Those who wrote the most mails, and the threads of each. */
const topSenders = (people: number): string =>
  `${counting}${firstLines}const names = ranked(countBy(senders.values())).slice(0, ${people});
const threadOf = threads();
const threadsBy = setsBy([...senders].filter(([path]) => threadOf.get(path)), ([, name]) => name, ([path]) => threadOf.get(path));
`;

/** Pairs of senders who share threads. */
export function mailPairsProgram(people: number, least: number): string {
  return `${topSenders(people)}handOver(pairsOf(names).filter(([a, b]) => shared(threadsBy.get(a), threadsBy.get(b)) >= ${least}).map(pairText))`;
}

/** Pairs of senders who both wrote in many threads, and one of them much in a month. */
export function joinedMailPairsProgram(asked: {
  readonly people: number;
  readonly threads: number;
  readonly mails: number;
  readonly month: string;
}): string {
  return `${topSenders(asked.people)}const monthOf = months();
const inMonth = countBy([...senders].filter(([path]) => monthOf.get(path) === ${literal(asked.month)}).map(([, name]) => name));
const isBusy = (name) => (inMonth.get(name) ?? 0) >= ${asked.mails};
const isWide = (name) => (threadsBy.get(name)?.size ?? 0) >= ${asked.threads};
handOver(pairsOf(names).filter(([a, b]) => isWide(a) && isWide(b) && isBusy(a) !== isBusy(b)).map(pairText))`;
}

/** What the n-th mail of a sender says, handed over behind the mark. */
export function mailProgram(sender: string, number: number, mark: string): string {
  return `${firstLines}const paths = [...senders].filter(([, one]) => one === ${literal(sender)}).map(([path]) => path).sort();
const text = context.text(paths[${number - 1}]);
answer(${literal(mark)} + '\\n' + text.slice(text.indexOf('\\n\\n') + 2))`;
}

/** Pairs of folders that hold files with both of two texts. */
export function folderPairsProgram(path: string, first: string, second: string): string {
  return `${counting}const foldersWith = (pattern) => new Set(context.group(pattern, 'path', { path: ${literal(path)} }).map((one) => one.value.slice(0, one.value.lastIndexOf('/'))));
const others = foldersWith(${literal(second)});
handOver(pairsOf([...foldersWith(${literal(first)})].filter((one) => others.has(one)).sort(byName)).map(pairText))`;
}

/** The path of the changelog that names a bug; that there is none only after a whole search. */
export function bugProgram(bug: string): string {
  return `const found = context.search(${literal(`#${bug}(?:\\D|$)`)}, { path: 'changelogs/**', max_results: 5 });
found.total > 0 ? [...new Set(found.matches.map((hit) => hit.path))].join(', ') : found.partial ? 'unknown: not all was searched' : 'not found'`;
}
