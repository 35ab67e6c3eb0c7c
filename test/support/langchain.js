// LangChain behind a few types of our own (langchain.d.ts): its published types do not pass this
// project's compiler settings.
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';

function chatModel({ baseURL, model, headers, tools }, streaming) {
  const configuration = { baseURL, defaultHeaders: headers };
  const chat = new ChatOpenAI({ model, apiKey: 'any', maxRetries: 0, streaming, configuration });
  const offered = Object.entries(tools).map(([name, { description, parameters }]) => ({
    type: 'function',
    function: { name, description, parameters },
  }));
  return offered.length === 0 ? chat : chat.bindTools(offered);
}

/** One turn: `invoke`, or `stream` with its pieces put together by LangChain. */
async function turn(model, messages, streaming) {
  if (!streaming) return model.invoke(messages);
  let whole;
  for await (const piece of await model.stream(messages)) {
    whole = whole === undefined ? piece : whole.concat(piece);
  }
  return whole;
}

export async function loopWithLangChain(asked, streaming) {
  const model = chatModel(asked, streaming);
  const messages = [new HumanMessage(asked.prompt)];
  for (;;) {
    const answer = await turn(model, messages, streaming);
    messages.push(answer);
    const calls = answer.tool_calls ?? [];
    if (calls.length === 0) {
      return {
        text: String(answer.content),
        turns: messages.filter((message) => message.getType() === 'ai').length,
        finish: answer.response_metadata.finish_reason,
        promptTokens: answer.usage_metadata?.input_tokens,
      };
    }
    for (const call of calls) {
      const result = await asked.tools[call.name].execute(call.args);
      messages.push(new ToolMessage({ tool_call_id: call.id, content: String(result) }));
    }
  }
}
