import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject, nonEmptyText, type JsonObject } from '../wire/json.ts';
import { timeOf } from './claude-code.ts';
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

/** Calls of which one half of the output has come, and that wait for the other. */
const maxWaiting = 64;

/**
 * Codex's history, `sessions/<year>/<month>/<day>/rollout-….jsonl` in its folder. It holds an
 * output twice, and less of it than the command has put out in both: as the model saw it, and as
 * the screen shows it.
 */
export async function* codexHistory({
  folder,
  signal,
}: PastPlace): AsyncGenerator<PastSession | PastFault, void, void> {
  await access(join(folder, 'sessions'));
  for (const name of ['archived_sessions', 'sessions']) {
    const place = join(folder, name);
    if (name !== 'sessions' && !(await exists(place))) continue;
    for await (const path of jsonlIn(place, 4)) {
      signal.throwIfAborted();
      if (typeof path !== 'string') {
        yield path;
        continue;
      }
      try {
        const meta = await metaOf(path, signal);
        if (meta !== undefined) yield { ...meta, outputs: () => outputsIn(path, signal) };
      } catch (error) {
        if (signal.aborted) throw error;
        yield { place: path, reason: reasonOf(error) };
      }
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

async function metaOf(
  path: string,
  signal: AbortSignal,
): Promise<Pick<PastSession, 'chatId' | 'directory'> | undefined> {
  for await (const found of recordsOf(path, ['"session_meta"'], signal)) {
    if (isFault(found)) continue;
    const payload = objectOf(found.record['payload']);
    const chatId = nonEmptyText(payload['id']);
    const directory = nonEmptyText(payload['cwd']);
    if (chatId !== undefined && directory !== undefined) return { chatId, directory };
  }
  return undefined;
}

/** An output of which perhaps one half has come. */
interface Waiting {
  /** As the model saw it. */
  seen?: string;
  /** As the screen shows it. */
  shown?: string;
  timeMs?: number | undefined;
}

async function* outputsIn(
  path: string,
  signal: AbortSignal,
): AsyncGenerator<PastOutput | PastFault, void, void> {
  const calls = new Map<string, { readonly tool: string; readonly args: string }>();
  const waiting = new Map<string, Waiting>();
  const done = (callId: string, { seen, shown, timeMs }: Waiting): PastOutput => ({
    callId,
    ...(calls.get(callId) ?? { tool: 'tool', args: '{}' }),
    timeMs,
    text: longerOf(seen, shown),
  });
  const words = ['_call', 'CommandExecution', 'exec_command_end'];
  for await (const found of recordsOf(path, words, signal)) {
    if (isFault(found)) {
      yield found;
      continue;
    }
    const payload = objectOf(found.record['payload']);
    const half = halfIn(payload);
    if (half === undefined) {
      const call = callIn(payload);
      if (call !== undefined) calls.set(call.callId, call);
      continue;
    }
    const { callId, ...output } = half;
    const both = { timeMs: timeOf(found.record['timestamp']), ...waiting.get(callId), ...output };
    waiting.delete(callId);
    if (both.seen !== undefined && both.shown !== undefined) yield done(callId, both);
    else waiting.set(callId, both);
    if (waiting.size > maxWaiting)
      for (const [oldest, one] of waiting) {
        yield done(oldest, one);
        waiting.delete(oldest);
        break;
      }
  }
  for (const [callId, one] of waiting) yield done(callId, one);
}

function callIn(payload: JsonObject): { callId: string; tool: string; args: string } | undefined {
  const { type } = payload;
  if (type !== 'function_call' && type !== 'custom_tool_call') return undefined;
  const callId = nonEmptyText(payload['call_id']);
  if (callId === undefined) return undefined;
  const args = nonEmptyText(payload['arguments'] ?? payload['input']) ?? '{}';
  return { callId, tool: nonEmptyText(payload['name']) ?? 'tool', args };
}

function halfIn(payload: JsonObject): (Waiting & { readonly callId: string }) | undefined {
  const { type } = payload;
  if (type === 'function_call_output' || type === 'custom_tool_call_output') {
    const callId = nonEmptyText(payload['call_id']);
    return callId === undefined ? undefined : { callId, seen: textIn(payload['output']) };
  }
  const item = type === 'item_completed' ? objectOf(payload['item']) : payload;
  const isCommand = item['type'] === 'CommandExecution' || item['type'] === 'exec_command_end';
  const callId = nonEmptyText(item['call_id'] ?? item['id']);
  if (!isCommand || callId === undefined) return undefined;
  return { callId, shown: nonEmptyText(item['aggregated_output']) ?? '' };
}

function textIn(output: unknown): string {
  if (typeof output === 'string') return output;
  const parts = isObject(output) ? (output['content'] ?? output['output']) : output;
  if (typeof parts === 'string') return parts;
  if (!Array.isArray(parts)) return '';
  return (parts as readonly unknown[])
    .flatMap((part) => (isObject(part) ? (nonEmptyText(part['text']) ?? []) : []))
    .join('\n');
}

/** What Codex writes before an output that the model sees. */
const head =
  /^(?:(?:Warning: truncated output|Chunk ID|Wall time|Process |Original token count|Total output lines)[^\n]*\n+)*Output:\n/;

function longerOf(seen = '', shown = ''): string {
  return shown.length > seen.replace(head, '').length ? shown : seen;
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}
