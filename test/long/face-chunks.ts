import { framesOf } from '../../src/chat/chat-reply.ts';
import { formOf } from '../../src/faces/answer-form.ts';
import { MessageWriter } from '../../src/faces/messages/message-writer.ts';
import { ResponseWriter } from '../../src/faces/responses/response-writer.ts';
import { ToolNames } from '../../src/faces/responses/tool-names.ts';
import type { Chunk } from '../../src/wire/types.ts';

/**
 * `node test/long/face-chunks.ts`: what a chunk of an answer costs in each protocol, each chunk a
 * batch of its own, as a slow provider sends them. Processor time of the writers alone, turn about;
 * what the turn around them costs is the same for all. Prints a table, and exits with 1 where one
 * costs more than 0.1 ms a chunk more than chat completions.
 */
const chunks = 20_000;
const rounds = 9;
const mostMoreUs = 100;

const head = { id: 'chatcmpl-1', created: 1, model: 'm' };

/** Reasoning, a text, a call in pieces, the end. */
async function* answer(): AsyncGenerator<readonly Chunk[], void, void> {
  for (let at = 0; at < chunks; at += 1) {
    if (at < chunks / 4) yield [{ reasoning: ' thinking', reasoningField: 'reasoning_content' }];
    else if (at < (chunks * 3) / 4) yield [{ content: ` word ${at % 10}` }];
    else yield [{ toolCalls: [pieceOfCall(at === (chunks * 3) / 4)] }];
  }
  const usage = { prompt_tokens: 1_000, completion_tokens: chunks, total_tokens: chunks + 1_000 };
  yield [{ finishReason: 'tool_calls' }, { usage }];
}

function pieceOfCall(isFirst: boolean): NonNullable<Chunk['toolCalls']>[number] {
  return isFirst
    ? { index: 0, id: 'call_1', name: 'write', arguments: '{"content":"' }
    : { index: 0, arguments: 'a piece ' };
}

const protocols: Readonly<Record<string, () => AsyncIterable<string>>> = {
  'chat completions': () =>
    framesOf(answer(), head, { model: 'm', stream: true, stream_options: { include_usage: true } }),
  responses: () => {
    const writer = new ResponseWriter({
      requestId: 'req_1',
      base: { id: 'resp_1', object: 'response', model: 'm', output: [] },
      tools: new ToolNames(),
      refusesInText: true,
      now: () => 1,
    });
    return formOf(writer).frames(answer(), head);
  },
  messages: () => {
    const writer = new MessageWriter({
      id: 'msg_1',
      model: 'm',
      nameOf: (name) => name,
      showsThinking: true,
      stopSequences: [],
    });
    return formOf(writer).frames(answer(), head);
  },
};

/** Processor time of writing one answer, microseconds a chunk. */
async function costOf(frames: AsyncIterable<string>): Promise<number> {
  const before = process.cpuUsage();
  let bytes = 0;
  for await (const frame of frames) bytes += Buffer.byteLength(frame);
  const { user, system } = process.cpuUsage(before);
  if (bytes < chunks) throw new Error('Nothing was written.');
  return (user + system) / chunks;
}

const costs = new Map<string, number[]>(Object.keys(protocols).map((name) => [name, []]));
for (let round = 0; round < rounds; round += 1)
  for (const [name, frames] of Object.entries(protocols))
    costs.get(name)?.push(await costOf(frames()));

const medians = [...costs].map(([name, all]) => {
  const [median = 0] = all.toSorted((a, b) => a - b).slice(Math.floor(all.length / 2));
  return [name, median] as const;
});
const [, plain] = medians[0]!;
process.stdout.write('|  | a chunk | more | wanted |\n| --- | ---: | ---: | --- |\n');
for (const [name, median] of medians) {
  const more = median - plain;
  const isPlain = name === 'chat completions';
  const cells = isPlain
    ? ['', '']
    : [`${more < 0 ? '' : '+'}${more.toFixed(1)} µs`, 'at most +100 µs'];
  process.stdout.write(`| ${[name, `${median.toFixed(1)} µs`, ...cells].join(' | ')} |\n`);
  if (more > mostMoreUs) process.exitCode = 1;
}
