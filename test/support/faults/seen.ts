import { expect } from 'vitest';
import { ProxyError } from '../../../src/errors.ts';
import type { Message } from '../../../src/wire/types.ts';

/** Cells of a row of docs/faults.md; the first one says what fails. */
export type Row = readonly string[];

/** A table of docs/faults.md, and what stands above it. */
export interface Section {
  readonly title: string;
  readonly text: string;
  readonly head: Row;
  readonly rows: readonly Row[];
}

export async function whole(response: Response): Promise<string> {
  const body = await response.text();
  const said = body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {};
  const { error, choices } = said as {
    error?: { code?: string; message: string };
    choices?: { message: Message; finish_reason: string }[];
  };
  if (error !== undefined) return `**${response.status}** ${errorWords(error)}`;
  const [choice] = choices ?? [];
  return choice === undefined
    ? `**${response.status}** ${plain(body)}`
    : `**${response.status}** ${quoted(String(choice.message.content))} (${choice.finish_reason})`;
}

const signOfLife = 'signs of life';

export async function streamed(response: Response): Promise<string> {
  if (response.headers.get('content-type')?.includes('event-stream') !== true)
    return whole(response);
  const told: string[] = [];
  let words = '';
  const tell = (part: string): void => {
    if (words !== '') told.push(quoted(words));
    words = '';
    if (told.at(-1) !== part) told.push(part);
  };
  for (const line of (await response.text()).split('\n')) {
    if (line === ': waiting') tell(signOfLife);
    if (!line.startsWith('data: {')) continue;
    const { error, choices } = JSON.parse(line.slice(6)) as {
      error?: { code?: string; message: string };
      choices?: {
        delta: { content?: string; reasoning_content?: string };
        finish_reason: string | null;
      }[];
    };
    const [choice] = choices ?? [];
    if (error !== undefined) tell(`last an error: ${errorWords(error)}`);
    if (choice?.delta.reasoning_content !== undefined) tell('lines of progress');
    words += choice?.delta.content ?? '';
    if (typeof choice?.finish_reason === 'string') tell(`(${choice.finish_reason})`);
  }
  // A slow machine has signs of life elsewhere, too; what counts is that no silence is without them.
  const kept = told.filter(
    (part, at) => part !== signOfLife || told[at + 1]?.startsWith('last') === true,
  );
  return [`**${response.status}**`, ...kept].join(', ');
}

export function errorWords(error: { readonly code?: string; readonly message: string }): string {
  const code = error.code === undefined ? '' : `\`${error.code}\`: `;
  return code + plain(error.message);
}

/** The ends of what may be long. */
export function quoted(text: string): string {
  const short = text.length > 200 ? `${text.slice(0, 20)} … ${text.slice(-160)}` : text;
  return `“${plain(short)}”`;
}

const levels: Readonly<Record<number, string>> = { 30: 'info', 40: 'warn', 50: 'error' };

/** What stands in a log at the usual level, but for the line of each turn. */
export function logged(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const { level, msg, code, message } = JSON.parse(line) as {
      level: number;
      msg: string;
      code?: string;
      message?: string;
    };
    if (level < 30 || msg === 'turn') continue;
    const words = `${levels[level]}: ${msg}${code === undefined ? '' : ` (\`${code}\`)`}${message === undefined ? '' : `: ${plain(message)}`}`;
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return [...counts].map(([words, count]) => (count > 1 ? `${words} ×${count}` : words)).join('; ');
}

/** Without what is another one in each run. */
export function plain(text: string): string {
  return text
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replaceAll(/(?:\/[\w.-]+)+\/rlm-(?:test|cli)-\w+/g, 'DIR')
    .replaceAll(/rlm-(demo|ask)-\w{6}/g, 'rlm-$1-ID')
    .replaceAll(/(sess|stdin|import)_[0-9a-f]{8,}/g, '$1_ID')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

export function failureWords(error: unknown): string {
  if (!(error instanceof ProxyError)) throw error;
  return [error.message, error.parts.hint].join(' ');
}

/** A few at once: some rows wait for a silence to be over. */
export async function inTurn<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<Row>,
  atOnce = 4,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) rows[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return rows;
}

/** For what changes this process while it runs. */
export async function oneByOne<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<Row>,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const item of items) rows.push(await work(item));
  return rows;
}

/** Rows one behind the other that differ in nothing but what fails are one. */
export function merged(rows: readonly Row[]): readonly Row[] {
  const kept: { whats: string[]; rest: Row }[] = [];
  for (const [what, ...rest] of rows) {
    const last = kept.at(-1);
    if (last !== undefined && last.rest.join('|') === rest.join('|')) last.whats.push(what!);
    else kept.push({ whats: [what!], rest });
  }
  return kept.map(({ whats, rest }) => [whats.join('; ')].concat(rest));
}

/** A page of tables, as it stands in the documentation. */
export function pageOf(page: {
  readonly title: string;
  readonly intro: string;
  readonly sections: readonly Section[];
}): string {
  const row = (cells: Row): string =>
    `| ${cells.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`;
  const parts = page.sections.map(({ title, text, head, rows }) => {
    for (const cells of rows) expect(cells).toHaveLength(head.length);
    return [`## ${title}\n`, `${text}\n`, row(head), row(head.map(() => '---')), ...rows.map(row)];
  });
  const tables = parts.map((lines) => lines.join('\n')).join('\n\n');
  return `# ${page.title}\n\n${page.intro}\n\n${tables}\n`;
}
