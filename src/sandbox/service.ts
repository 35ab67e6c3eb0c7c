import { setImmediate } from 'node:timers/promises';
import { countCodePoints } from '../kernels/text-counts.ts';
import type { HostCall, Reply } from './mailbox.ts';
import type { SandboxHost, SandboxLimits, SandboxQuestion, SandboxRecords } from './types.ts';

/**
 * Serves one call of a program: checks what it sent, asks the host, and tags the reply for the
 * mailbox (`T` text, `J` JSON, `E` error). Never throws: whatever goes wrong becomes an error
 * inside the program.
 */
export async function serveCall(
  call: HostCall,
  host: SandboxHost,
  options: { readonly signal: AbortSignal; readonly limits: SandboxLimits },
): Promise<Reply> {
  const { signal } = options;
  try {
    signal.throwIfAborted();
    const args: unknown = JSON.parse(call.args);
    const served = await serve(call.method, Array.isArray(args) ? (args as unknown[]) : [], {
      ...options,
      host,
    });
    return typeof served === 'string' ? { tagged: served } : served;
  } catch (caught) {
    return { tagged: `E${caught instanceof Error ? caught.message : 'the call failed'}` };
  }
}

async function serve(
  method: string,
  args: readonly unknown[],
  given: {
    readonly signal: AbortSignal;
    readonly limits: SandboxLimits;
    readonly host: SandboxHost;
  },
): Promise<string | Reply> {
  const { host, signal, limits } = given;
  const [first, second, third] = args;
  switch (method) {
    case 'read': {
      const length = count(second);
      if (length > limits.maxReadChars)
        return `Eone read gives at most ${limits.maxReadChars} characters: read in a loop`;
      return textReply(await host.read(count(first), length, signal));
    }
    case 'text':
      return textReply(await host.text(String(first), signal));
    case 'lines':
      return textReply(
        await host.lines(
          { first: count(first), last: count(second), entry: third as string | undefined },
          signal,
        ),
      );
    case 'search':
      return json(
        await host.search(String(first), { ...asObject(second), literal: third === true }, signal),
      );
    case 'records':
      return recordsReply(await host.records(String(first), asObject(second), signal));
    case 'entries':
      return jsonOfMany(await host.entries(asObject(first), signal));
    case 'of':
      return json((await hostOf(host, first)).lengthChars);
    case 'in':
      return serve(String(second), args.slice(2), { ...given, host: await hostOf(host, first) });
    case 'query': {
      const [reply] = await host.query(questionsOf(first), signal);
      if (reply === undefined) return 'Ethe sub-call gave no reply';
      return reply.ok ? json([reply.text]) : `Ethe sub-call failed: ${reply.error}`;
    }
    case 'query_batched': {
      // The prelude has refused it already; a program may have found a way around.
      if (Array.isArray(first) && first.length > limits.maxQuestions)
        return `Eat most ${limits.maxQuestions} questions are asked at once`;
      const replies = await host.query(questionsOf(first), signal);
      return json(replies.map((reply) => (reply.ok ? reply.text : failedReply(reply.error))));
    }
    default: {
      const named = Object.hasOwn(host.methods, method) ? host.methods[method] : undefined;
      if (named === undefined) return `Ethere is no ${method}`;
      const result = await named(args, signal);
      return Array.isArray(result) ? jsonOfMany(result) : json(result);
    }
  }
}

async function hostOf(host: SandboxHost, name: unknown): Promise<SandboxHost> {
  const asked = String(name);
  // `@2h`: the same store then; `api@2h`: what was linked as api then. No name has an @.
  const moment = asked.indexOf('@');
  if (moment >= 0 && host.at !== undefined) {
    const then = await host.at(asked.slice(moment + 1));
    return moment === 0 ? then : hostOf(then, asked.slice(0, moment));
  }
  if (host.of === undefined) throw new Error('no stores are linked to this one');
  return host.of(asked);
}

/** Texts from this length on cross as bytes, characters: below, setting that up costs more. */
const minBytesChars = 4_096;

const encoder = new TextEncoder();

function textReply(text: string | Uint8Array<ArrayBuffer>): string | Reply {
  if (typeof text !== 'string') {
    if (text.length >= minBytesChars && !text.includes(0))
      return { tagged: 'Bnull', bytes: text, chars: countCodePoints(text) };
    return `T${Buffer.from(text.buffer, text.byteOffset, text.length).toString('utf8')}`;
  }
  // The machine's strings cross as C strings, which a zero ends; the thread writes those as JSON.
  if (text.length < minBytesChars || text.includes('\0')) return `T${text}`;
  return { tagged: 'Bnull', bytes: encoder.encode(text), chars: text.length };
}

function recordsReply({ text, ...rest }: SandboxRecords): string | Reply {
  const tagged = `B${JSON.stringify(rest)}`;
  if (!text.includes(0)) return { tagged, bytes: text, chars: text.length };
  const flat = Buffer.from(text)
    .toString('utf8')
    .split(rest.separator ?? '\0');
  const { separator: _, ...unseparated } = rest;
  // A zero among the fields: as JSON it is an escape.
  const bytes = rest.separator === undefined ? text : encoder.encode(JSON.stringify(flat));
  return { tagged: `B${JSON.stringify(unseparated)}`, bytes, chars: text.length };
}

/**
 * How one failed answer of a batch looks to the program: text like the others, so that joining them
 * never throws.
 */
function failedReply(error: string): string {
  return `[failed: ${error}]`;
}

function json(value: unknown): string {
  return `J${JSON.stringify(value)}`;
}

/** So many values are written between two turns of the event loop: some 5 ms. */
const valuesPerTurn = 4_000;

/** The same for a list of any length, which holds nobody up. */
async function jsonOfMany(values: readonly unknown[]): Promise<string> {
  if (values.length <= valuesPerTurn) return json(values);
  const pieces: string[] = [];
  for (let at = 0; at < values.length; at += valuesPerTurn) {
    pieces.push(JSON.stringify(values.slice(at, at + valuesPerTurn)).slice(1, -1));
    await setImmediate();
  }
  return `J[${pieces.join(',')}]`;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function asObject(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function questionsOf(value: unknown): readonly SandboxQuestion[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => {
    const { prompt, text } = asObject(one);
    // The prelude has made texts of both.
    return {
      prompt: typeof prompt === 'string' ? prompt : '',
      ...(typeof text === 'string' ? { text } : {}),
    };
  });
}
