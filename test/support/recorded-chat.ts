import { calling, longText, outputRequest, resultOf, user } from './conversation.ts';
import { startProxy } from './proxy.ts';
import {
  answer,
  callTools,
  cut,
  reply,
  startScriptedUpstream,
  status,
  text,
} from './scripted-upstream.ts';
import type { Message } from '../../src/wire/types.ts';

const model = 'rlm-internal.rlm-core-v1';

/** What the conversation is about; it stands in texts, searches, programs and answers. */
interface ChatWords {
  readonly directory: string;
  readonly needle: string;
  readonly answer: string;
}

const usual: ChatWords = {
  directory: '/work/project',
  needle: 'needle-7',
  answer: 'It is line 77.',
};

/**
 * Plays a conversation of three turns that is written down in `traces`: outputs that are stored, a
 * busy provider, a search, a program with three sub-calls, streamed and whole answers, one that is
 * cut.
 */
export async function recordChat(
  { traces, dataDir }: { readonly traces: string; readonly dataDir: string },
  env: Readonly<Record<string, string>> = {},
  words = usual,
): Promise<void> {
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    dataDir,
    env: { RLM_TRACE_DIR: traces, ...env },
  });
  const search = callTools({ name: 'rlm_search', args: { pattern: `${words.needle} 77:` } });
  const program = callTools({
    name: 'rlm_exec',
    args: {
      code: `// ${words.answer}\nconst asked = ["one?", "two?", "${words.needle}?"];\nprint(llm_query_batched(asked).join(), context.search(/${words.needle} \\d+:/).total);`,
    },
  });
  const first = outputRequest(longText(30_000, words.needle), words.directory);
  const messages: Message[] = [...first.messages];
  const say = async (stream: boolean): Promise<void> => {
    const body = JSON.stringify({ model, stream, messages, tools: first.tools });
    const response = await proxy.post(body, { 'x-session-affinity': 'chat-1' });
    await response.text().catch(() => '');
  };
  upstream.script(
    status(503, { error: { message: 'busy' } }, { 'retry-after-ms': '1' }),
    search,
    answer(words.answer),
  );
  await say(true);
  messages.push(
    { role: 'assistant', content: words.answer },
    calling('call_linter', 'bash', { command: `lint ${words.directory}` }),
    resultOf('call_linter', longText(25_000, 'lint')),
    user('And now? \u{1F600}'),
  );
  upstream.script(search, program, answer('1'), answer('2'), answer('3'), answer('Line 77 again.'));
  await say(false);
  messages.push({ role: 'assistant', content: 'Line 77 again.' }, user('Thanks.'));
  upstream.script(reply(text('You are wel'), cut()));
  await say(true);
}
