import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isObject, nonEmptyText } from '../wire/json.ts';
import { jsonlIn } from './folders.ts';
import {
  isFault,
  type PastFault,
  type PastOutput,
  type PastPlace,
  type PastSession,
  reasonOf,
} from './past-session.ts';
import { recordsOf } from './whole-lines.ts';

/**
 * Claude Code's history, `projects/<name>/<session>.jsonl` in its folder: a record a line, one a
 * content block. Beside a session lie those of its subagents. The name of a project's folder does
 * not tell its path; the records do.
 */
export async function* claudeCodeHistory({
  folder,
  signal,
}: PastPlace): AsyncGenerator<PastSession | PastFault, void, void> {
  const projects = join(folder, 'projects');
  const entries = await readdir(projects, { withFileTypes: true });
  for (const name of entries
    .filter((entry) => !entry.isFile())
    .map((entry) => entry.name)
    .sort()) {
    for await (const path of jsonlIn(join(projects, name), 3)) {
      signal.throwIfAborted();
      if (typeof path !== 'string') {
        yield path;
        continue;
      }
      // A conversation, or an agent of one; else notes of another kind.
      const agent = /[\\/]([^\\/]+)[\\/]subagents[\\/]agent-([^\\/]+)\.jsonl$/.exec(path);
      if (agent === null && !path.endsWith(join(name, basename(path)))) continue;
      try {
        const directory = await directoryOf(path, signal);
        if (directory === undefined) continue;
        const session = basename(path, '.jsonl');
        const chatId = agent === null ? session : `${agent[1]}/${agent[2]}`;
        yield { chatId, directory, outputs: () => outputsIn(path, signal) };
      } catch (error) {
        if (signal.aborted) throw error;
        yield { place: path, reason: reasonOf(error) };
      }
    }
  }
}

/** Where the conversation began; nothing where it says nowhere. */
async function directoryOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  for await (const found of recordsOf(path, ['"cwd"'], signal)) {
    if (isFault(found)) continue;
    const directory = nonEmptyText(found.record['cwd']);
    if (directory !== undefined) return directory;
  }
  return undefined;
}

async function* outputsIn(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<PastOutput | PastFault, void, void> {
  const calls = new Map<string, { readonly tool: string; readonly args: string }>();
  for await (const found of recordsOf(path, ['"tool_use"', '"tool_result"'], signal)) {
    if (isFault(found)) {
      yield found;
      continue;
    }
    const { record } = found;
    const message = record['message'];
    const blocks = isObject(message) ? message['content'] : undefined;
    if (!Array.isArray(blocks)) continue;
    for (const block of blocks as readonly unknown[]) {
      if (!isObject(block)) continue;
      const id = nonEmptyText(block['type'] === 'tool_use' ? block['id'] : block['tool_use_id']);
      if (id === undefined) continue;
      if (block['type'] === 'tool_use')
        calls.set(id, {
          tool: nonEmptyText(block['name']) ?? 'tool',
          args: JSON.stringify(block['input'] ?? {}),
        });
      else if (block['type'] === 'tool_result') {
        const text = textIn(block['content']);
        const call = calls.get(id) ?? { tool: 'tool', args: '{}' };
        const instead = printedIn(record['toolUseResult']);
        yield {
          callId: id,
          ...call,
          timeMs: timeOf(record['timestamp']),
          text,
          ...(instead === undefined ? {} : { instead }),
        };
      }
    }
  }
}

function textIn(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as readonly unknown[])
    .flatMap((block) => (isObject(block) ? (nonEmptyText(block['text']) ?? []) : []))
    .join('\n');
}

/** What a command has printed, as far as the record has it: more than the model was shown. */
function printedIn(result: unknown): string | undefined {
  if (!isObject(result)) return undefined;
  const texts = [nonEmptyText(result['stdout']), nonEmptyText(result['stderr'])].filter(
    (text) => text !== undefined,
  );
  return texts.length === 0 ? undefined : texts.join('\n');
}

/** Milliseconds of a time in ISO form. */
export function timeOf(value: unknown): number | undefined {
  const time = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? undefined : time;
}
