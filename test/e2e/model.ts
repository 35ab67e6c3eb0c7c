import type { PlainRequest, Message } from '../../src/wire/types.ts';
import {
  answer,
  callTools,
  status,
  type RecordedRequest,
  type Reply,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

/** What OpenCode asks a model for. */
export type RequestKind = 'main' | 'title' | 'compaction';

/** A request as the scripted model sees it. */
export interface View {
  readonly request: RecordedRequest;
  readonly messages: readonly Message[];
  readonly offeredTools: readonly string[];
  /** Text of the newest user message. */
  readonly asked: string;
  /** Assistant messages after it: how far the turn has come. */
  readonly step: number;
  /** Results that came in since the last assistant message, in order. */
  readonly results: readonly string[];
}

/** One step of a turn. */
export type Move = (view: View) => Reply | Promise<Reply>;

/** A turn the model plays when the newest user message holds the cue. */
export type Script = Readonly<Record<string, readonly Move[]>>;

/** The words in OpenCode's answer to a title request; nobody reads it. */
const titleAnswer = 'A title';
/** A summary as OpenCode wants one. */
export const summaryAnswer = '## Objective\n- keep going\n\n## Work State\n- the log was printed';

/**
 * Makes the upstream play a script: its reply depends on nothing but the request, so repeated,
 * parallel and replayed requests are answered alike. What it cannot answer becomes an error that
 * ends OpenCode's turn, and a line in `faults`.
 */
export function playScript(upstream: ScriptedUpstream, script: Script): Played {
  return answerBy(upstream, async (request) => reply(request, script));
}

/** What could not be answered. */
export interface Played {
  readonly faults: readonly string[];
}

/** The upstream answers all requests in a way; where that throws, with an error of the request. */
export function answerBy(
  upstream: ScriptedUpstream,
  replyTo: (request: RecordedRequest) => Promise<Reply>,
): Played {
  const faults: string[] = [];
  upstream.otherwise(async (request) => {
    try {
      return await replyTo(request);
    } catch (error) {
      faults.push(error instanceof Error ? error.message : String(error));
      return status(400, { error: { message: 'The script has no answer to this.' } });
    }
  });
  return { faults };
}

async function reply(request: RecordedRequest, script: Script): Promise<Reply> {
  const kind = kindOf(request.body);
  if (kind === 'title') return answer(titleAnswer);
  if (kind === 'compaction') return answer(summaryAnswer);
  const view = viewOf(request);
  const cue = Object.keys(script).find((cue) => view.asked.includes(cue));
  if (cue === undefined) throw new Error(`no turn for the user's ${JSON.stringify(view.asked)}`);
  const move = script[cue]?.[view.step];
  if (move === undefined) throw new Error(`turn ${cue} has no step ${view.step}`);
  return move(view);
}

/** Recognises OpenCode's helper requests by how their prompts begin. */
export function kindOf({ messages }: PlainRequest): RequestKind {
  const first = textOf(messages[0]);
  if (first.startsWith('You are a title generator')) return 'title';
  if (first.startsWith('You are a context summarization agent')) return 'compaction';
  return 'main';
}

/** The text of a message, parts joined. */
export function textOf(message: Message | undefined): string {
  const content = message?.content;
  if (typeof content === 'string') return content;
  return Array.isArray(content) ? content.map((part) => part.text ?? '').join('\n') : '';
}

function viewOf(request: RecordedRequest): View {
  const { messages } = request.body;
  const userAt = messages.findLastIndex((message) => message.role === 'user');
  const lastTurnAt = messages.findLastIndex((message) => message.role === 'assistant');
  return {
    request,
    messages,
    offeredTools: (request.body.tools ?? []).map((tool) => tool.function?.name ?? ''),
    asked: textOf(messages[userAt]),
    step: messages.slice(userAt).filter((message) => message.role === 'assistant').length,
    results: messages
      .slice(lastTurnAt + 1)
      .filter((message) => message.role === 'tool')
      .map(textOf),
  };
}

/** A call that the model makes. */
export interface ScriptedCall {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * A step that calls these tools, if they are offered; ids are made of the cue, so that each is used
 * once.
 */
export function call(cue: string, ...calls: readonly ScriptedCall[]): Move {
  return ({ offeredTools, step }) => {
    for (const { name } of calls)
      if (!offeredTools.includes(name)) throw new Error(`${name} is not offered in ${cue} ${step}`);
    return callTools(
      ...calls.map(({ name, args }, index) => ({
        name,
        args,
        id: `call_${cue}_${step}_${index}`,
      })),
    );
  };
}

/** A step that ends the turn. */
export function say(text: string | ((view: View) => string)): Move {
  return (view) => answer(typeof text === 'string' ? text : text(view), 40);
}

/** OpenCode's shell. */
export function bash(command: string): ScriptedCall {
  return { name: 'bash', args: { command, description: 'Run a command' } };
}

/** Our search. */
export function search(pattern: string): ScriptedCall {
  return { name: 'rlm_search', args: { pattern } };
}
