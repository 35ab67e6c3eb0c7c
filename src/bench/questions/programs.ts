/**
 * The programs that the scripted policies run with `rlm_exec`: what a good model would write for
 * each question. Each ends with an expression: the answer.
 */

/** A text as a JavaScript literal. */
function literal(value: unknown): string {
  return JSON.stringify(value);
}

/** Openings of a question of the record benchmarks, and the kind of answer they ask for. */
const openings = {
  person: ['Who invented', 'Who was the ', 'Whose name i'],
  location: ['Where can on', 'In which cit', 'Which countr'],
  number: ['How many par', 'How much doe', 'How far reac'],
  date: ['When was the', 'In which yea', 'On what day '],
  definition: ['What does on', 'What is mean', 'What is the '],
  reason: ['Why did they', 'For what cau', 'What made th'],
} as const;

/**
 * Counts all records by day and user, for each kind of answer by how its questions begin; `rows`
 * holds `{ day, user, label, count }`.
 */
const countRecords = `const rows = Object.entries(${literal(openings)}).flatMap(([label, all]) =>
  context.group('^(\\\\S+) (\\\\S+) asked: (?:' + all.join('|') + ')', [1, 2]).map(({ values: [day, user], count }) => ({ day, user, label, count })));
const sum = (wanted) => rows.reduce((total, row) => total + (wanted(row) ? row.count : 0), 0);
const top = (name, wanted) => {
  const totals = new Map();
  for (const row of rows) if (wanted(row)) totals.set(name(row), (totals.get(name(row)) ?? 0) + row.count);
  return [...totals].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
};
`;

/** Counts over records. `select` is an expression over `sum` and `top`. */
export function countProgram(select: string): string {
  return `${countRecords}${select}`;
}

/** Pairs of users for which both counts meet a condition. */
export function pairsProgram(condition: {
  readonly label: string;
  readonly from?: string | undefined;
  readonly limit: number;
  readonly isLeast: boolean;
  readonly users: number;
}): string {
  const { label, from = '', limit, isLeast, users } = condition;
  return `${countRecords}const names = Array.from({ length: ${users} }, (_, index) => 'user_' + (index + 1));
const chosen = names.filter((name) => {
  const found = sum((row) => row.user === name && row.label === ${literal(label)} && row.day >= ${literal(from)});
  return ${isLeast ? `found >= ${limit}` : `found <= ${limit}`};
});
const pairs = chosen.flatMap((first, index) => chosen.slice(index + 1).map((second) => first + ' + ' + second));
answer('ANSWER: ' + pairs.join(', '));
pairs.length + ' pairs'`;
}

/** Follows a chain of assignments to its number. */
export function chainProgram(name: string): string {
  return `const values = new Map();
let cursor;
do {
  const found = context.search('assign (\\\\w+) := (\\\\w+)', { max_results: 1000, order: 'oldest', ...(cursor && { cursor }) });
  for (const { text } of found.matches) {
    const [, name, value] = /assign (\\w+) := (\\w+)/.exec(text);
    values.set(name, value);
  }
  cursor = found.next_cursor;
} while (cursor);
let value = ${literal(name)};
while (values.has(value)) value = values.get(value);
value`;
}

/** Names of the functions that call one. */
export function callersProgram(name: string): string {
  return `const callers = new Set();
for (const hit of context.search(${literal(`= ${name}\\(`)}, { max_results: 1000 }).matches) {
  const before = context.read(Math.max(0, hit.offset - 3000), Math.min(hit.offset, 3000));
  const enclosing = [...before.matchAll(/export function (\\w+)\\(/g)].at(-1);
  if (enclosing) callers.add(enclosing[1]);
}
[...callers].join(', ')`;
}

/** Names of the functions that one calls, and of those that they call. */
export function twoCallsProgram(name: string): string {
  return `const callsOf = (name) => {
  const [hit] = context.search('export function ' + name + '\\\\(', { max_results: 1 }).matches;
  const body = context.read(hit.offset, 3000).split('\\n}\\n')[0];
  return [...body.matchAll(/= (\\w+)\\(input/g)].map((found) => found[1]);
};
const direct = callsOf(${literal(name)});
[...new Set([...direct, ...direct.flatMap(callsOf)])].join(', ')`;
}

/** The value of a setting after the files that override each other. */
export function settingProgram(files: readonly string[], setting: string): string {
  return `let value;
const entries = context.entries();
for (const path of ${literal(files)}) {
  const entry = entries.find((one) => one.path?.endsWith(path));
  if (!entry) continue;
  let found = JSON.parse(context.read(entry.offset, entry.length));
  for (const name of ${literal(setting.split('.'))}) found = found?.[name];
  if (found !== undefined) value = found;
}
value`;
}

/** Files edited before a sentence of the user. */
export function editedBeforeProgram(wish: string): string {
  return `const [said] = context.find(${literal(wish)}, { max_results: 1 }).matches;
const edits = context.search('\\\\[tool edit\\\\] (\\\\S+): applied', { max_results: 1000, order: 'oldest' }).matches;
[...new Set(edits.filter((hit) => hit.offset < said.offset).map((hit) => /edit\\] (\\S+):/.exec(hit.text)[1]))].join(', ')`;
}

/**
 * Reads the package index as a graph; `select` is an expression over `depends` (name to its line),
 * `next(name)`, the names in it, and `reach(name, steps)`. What a package depends on is taken apart
 * where the way leads through it.
 */
export function packagesProgram(select: string): string {
  return `const depends = new Map();
let name;
for (const [key, value] of context.records(/^(Package|Depends): (.+)$/, { path: 'dpkg/status' })) {
  if (key === 'Package') name = value;
  depends.set(name, key === 'Package' ? '' : value);
}
const next = (name) => (depends.get(name) ?? '').split(',').map((part) => (/[a-z0-9][a-z0-9.+-]*/.exec(part) ?? [''])[0]).filter((one) => one !== '');
const reach = (start, steps) => {
  const reached = new Set([start]);
  let border = [start];
  for (let step = 0; step < steps; step += 1) {
    border = border.flatMap(next).filter((name) => !reached.has(name));
    for (const name of border) reached.add(name);
  }
  reached.delete(start);
  return [...reached].join(', ');
};
${select}`;
}
