import { writeFile } from 'node:fs/promises';
import { fittingName } from '../../src/faces/tool-name.ts';
import { longText } from './conversation.ts';
import { readMessageEvents } from './message-events.ts';
import { startProxy, type TestProxy } from './proxy.ts';
import { readResponseEvents } from './response-events.ts';
import {
  answer,
  callTools,
  chunk,
  done,
  finish,
  reasoning,
  reply,
  role,
  startScriptedUpstream,
  text,
  toolCall,
  toolDelta,
  usage,
  type Reply,
  type ScriptedUpstream,
} from './scripted-upstream.ts';

const model = 'rlm-internal.rlm-core-v1';

/**
 * What stands in these conversations and must be nowhere in what is given away: a word for each
 * place, in small letters. Text, member and place of each are found by these names.
 */
export const faceNeedles = {
  person: 'gracehopper',
  project: 'secretproject',
  system: 'plutonium',
  user: 'xylophone',
  output: 'quicksilver',
  tool: 'warehouse',
  argument: 'invoicenumber',
  value: 'acmecorp',
  schema: 'ledgerline',
  thinking: 'hesitation',
  title: 'blueprint',
  host: 'intranet',
  account: 'd5f3a9c17',
  sought: 'zirconium',
} as const;

const n = faceNeedles;

/** Longer than providers take, with its MCP server in front. */
const longName = `look_into_all_shelves_of_the_${n.tool}_and_say_what_is_missing_there`;
const whole = `mcp__${n.tool}__${longName}`;
const directory = `/home/${n.person}/${n.project}`;

/** Bytes of a picture, as base64. */
const picture = Buffer.from(`\u0089PNG ${n.title} `.repeat(20)).toString('base64');

/** What our tools find in the output. */
const sought = `${n.sought} 77:`;

const output = longText(30_000, n.sought).replace('fox', n.output);

/** A turn of the model with structured reasoning, signatures, and a call of the client's tool. */
const thinkAndCall = reply(
  role(),
  reasoning(`A ${n.thinking.slice(0, 4)}`),
  reasoning(`${n.thinking.slice(4)}. So.`),
  chunk({
    reasoning_details: [
      {
        type: 'reasoning.text',
        text: `A ${n.thinking}. So.`,
        signature: 'c2lnbmF0dXJlb2ZpdA==',
        index: 0,
      },
    ],
  }),
  text(`The ${n.user}`),
  text(' needs a look.'),
  toolDelta({
    index: 0,
    id: 'call_warehouse_1',
    type: 'function',
    function: {
      name: fittingName(whole),
      arguments: `{"${n.argument}": "${n.value}\\u00e9", "code"`,
    },
    extra_content: { google: { thought_signature: `AbCd${n.account}` } },
  }),
  toolDelta({
    index: 0,
    function: { arguments: `: "${n.value}", "count": 12345678901234567890}` },
  }),
  finish('tool_calls'),
  usage(),
  done(),
);

/** Steps that the client does not see, and what it sees of the model then. */
function hiddenSteps(said: string): readonly Reply[] {
  return [
    reply(
      role(),
      reasoning(`${n.thinking} again. `),
      toolCall('rlm_search', `{"query": "${sought}", "limit": "5"}`, { id: 'call_s' }),
      finish('tool_calls'),
      usage(),
      done(),
    ),
    callTools({
      name: 'rlm_exec',
      args: {
        code: `const ${n.argument} = ["one ${n.value}?", "two?"];\nprint(llm_query_batched(${n.argument}).join(), context.search(/${n.sought} \\d+:/).total);`,
      },
      id: 'call_p',
    }),
    answer(`First ${n.value}`),
    answer('Second'),
    reply(role(), reasoning('Now I know. '), text(said), finish(), usage(), done()),
  ];
}

/** Where a conversation is written down, and with what. */
interface Recording {
  readonly traces: string;
  readonly dataDir: string;
  readonly stream: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

async function recording(
  { traces, dataDir, env }: Recording,
  play: (upstream: ScriptedUpstream, proxy: TestProxy) => Promise<void>,
): Promise<void> {
  const config = `${dataDir}.jsonc`;
  await writeFile(config, JSON.stringify({ strip: { perTool: { [whole]: 20_000 } } }));
  await using upstream = await startScriptedUpstream();
  await using proxy = await startProxy({
    upstream,
    dataDir,
    env: { RLM_CONFIG: config, RLM_TRACE_DIR: traces, RLM_TRACE_TEXTS: '1', ...env },
  });
  await play(upstream, proxy);
  if (upstream.requests.length !== 7) throw new Error(`${upstream.requests.length} requests`);
}

/**
 * A conversation of Claude Code by the Messages protocol: a call of its own tool, a stored output
 * that is searched in hidden steps, and a question after that.
 */
export async function recordMessages(parts: Recording): Promise<void> {
  const session = '219b8bd0-beef-4f83-951c-43b6376c6d4d';
  const headers = {
    'content-type': 'application/json',
    'anthropic-version': '2023-06-01',
    'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)',
    'x-claude-code-session-id': session,
    'x-claude-code-agent-id': `agent-${n.account}`,
  };
  const cached = { cache_control: { type: 'ephemeral', ttl: '5m' } };
  const members = {
    model,
    max_tokens: 8_000,
    stream: parts.stream,
    system: [
      { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.332.0b8;' },
      { type: 'text', text: 'You are a Claude agent.', ...cached },
      { type: 'text', text: `You know of ${n.system}.`, ...cached },
    ],
    metadata: {
      user_id: JSON.stringify({ device_id: n.account, account_uuid: null, session_id: session }),
    },
    thinking: { type: 'adaptive', display: 'summarized' },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    output_config: { effort: 'low' },
    safeguards: [{ type: 'dangerous_tool_use', live_cwd: directory }],
    stop_sequences: [`</${n.title}>`],
    tools: [
      {
        name: whole,
        description: `Looks into the ${n.tool}.`,
        input_schema: {
          type: 'object',
          properties: {
            [n.argument]: { type: 'string', enum: [n.value, 'other'], default: n.value },
            code: { type: 'string', description: n.schema, pattern: `^${n.schema}-[Ll]ine\\d+$` },
            lines: { type: 'array', items: { $ref: `#/$defs/${n.schema}` } },
          },
          required: [n.argument],
          $defs: { [n.schema]: { type: 'object', title: n.schema } },
        },
      },
      {
        name: 'Bash',
        description: 'runs a command',
        input_schema: { type: 'object', properties: { command: { type: 'string' } } },
      },
      { type: 'text_editor_20250728', name: 'str_replace_based_edit_tool' },
      {
        type: 'web_search_20250305',
        name: 'web_search',
        user_location: { type: 'approximate', city: n.host },
        allowed_domains: [`${n.host}.example`],
      },
      { name: 'DeferredToolPlaceholder', input_schema: {}, defer_loading: true },
    ],
    tool_choice: { type: 'auto' },
  };
  const environment = `# Environment\nYou have been invoked in the following environment: \n - Primary working directory: ${directory}\n - Is a git repository: false`;
  const messages: object[] = [
    {
      role: 'user',
      content: [
        { type: 'text', text: `What of the ${n.user}?` },
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture } },
        {
          type: 'document',
          title: `${n.title}.txt`,
          context: n.title,
          source: { type: 'text', media_type: 'text/plain', data: `All of ${n.title}.` },
        },
        {
          type: 'document',
          title: `${n.title}.pdf`,
          source: { type: 'base64', media_type: 'application/pdf', data: picture },
        },
        { type: 'image', source: { type: 'url', url: `https://${n.host}.example/${n.title}.png` } },
      ],
    },
    { role: 'system', content: [{ type: 'text', text: environment }] },
    {
      role: 'assistant',
      content: [
        {
          type: 'thinking',
          thinking: `Of another model: ${n.thinking}`,
          signature: Buffer.from(`of ${n.thinking}`.repeat(5)).toString('base64'),
        },
        { type: 'redacted_thinking', data: Buffer.from(n.thinking.repeat(5)).toString('base64') },
        { type: 'text', text: 'I begin.' },
        {
          type: 'tool_use',
          id: `toolu_${n.account}`,
          name: 'Bash',
          input: { command: `cat ${directory}/${n.title}`, status: n.value },
        },
      ],
    },
    {
      role: 'user',
      content: [
        {
          type: 'tool_result',
          tool_use_id: `toolu_${n.account}`,
          is_error: true,
          content: [{ type: 'text', text: `TypeError: no ${n.output}` }],
        },
        { type: 'text', text: `<system-reminder>Do not say ${n.system}.</system-reminder>` },
      ],
    },
  ];
  const say = async (proxy: TestProxy): Promise<void> => {
    const response = await fetch(`${proxy.baseURL}/messages?beta=true`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...members, messages }),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(body);
    const { content } = parts.stream
      ? readMessageEvents(body).message
      : (JSON.parse(body) as { content: object[] });
    messages.push({ role: 'assistant', content });
  };
  await recording(parts, async (upstream, proxy) => {
    upstream.script(thinkAndCall);
    await say(proxy);
    messages.push({
      role: 'user',
      content: [
        {
          type: 'tool_result',
          tool_use_id: 'call_warehouse_1',
          content: [
            { type: 'text', text: output },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture } },
          ],
        },
      ],
    });
    upstream.script(...hiddenSteps(`Line 77 of ${n.output}.`));
    await say(proxy);
    messages.push({ role: 'user', content: `Thanks, ${n.user}.` });
    upstream.script(answer(`You are ${n.user}.`));
    await say(proxy);
  });
}

/** The same by the Responses protocol, as Codex asks. */
export async function recordResponses(parts: Recording): Promise<void> {
  const thread = '01a217c5-beef-7ce1-854f-650c73594577';
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.171.0)',
    originator: 'codex_exec',
    'session-id': thread,
    'thread-id': thread,
    'x-codex-turn-metadata': JSON.stringify({
      thread_id: thread,
      request_kind: 'turn',
      workspaces: {
        [directory]: { associated_remote_urls: { origin: `git@${n.host}:${n.project}.git` } },
      },
      started_at: 1_764_000_000,
      sandbox: null,
    }),
  };
  const members = {
    model,
    stream: parts.stream,
    store: false,
    instructions: `You are a coding agent running in the Codex CLI. You know of ${n.system}.`,
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: 'low', summary: 'auto' },
    text: { verbosity: 'low' },
    prompt_cache_key: thread,
    safety_identifier: n.account,
    metadata: { [n.account]: n.value },
    client_metadata: { thread_id: thread, 'x-user': n.account },
    tools: [
      {
        type: 'namespace',
        name: `mcp__${n.tool}`,
        description: n.tool,
        tools: [
          {
            type: 'function',
            name: longName,
            description: n.schema,
            strict: false,
            parameters: {
              type: 'object',
              properties: { [n.argument]: { type: 'string', enum: [n.value] } },
              required: [n.argument],
              additionalProperties: false,
            },
          },
        ],
      },
      {
        type: 'function',
        name: 'shell',
        description: 'runs a command',
        strict: false,
        parameters: {
          type: 'object',
          properties: { command: { type: 'array', items: { type: 'string' } } },
        },
      },
      {
        type: 'custom',
        name: 'apply_patch',
        description: 'patches',
        format: { type: 'grammar', syntax: 'lark', definition: `start: "${n.schema}"` },
      },
      { type: 'web_search', filters: { allowed_domains: [`${n.host}.example`] } },
    ],
    tool_choice: 'auto',
    parallel_tool_calls: true,
  };
  const says = (...content: object[]): object => ({ type: 'message', role: 'user', content });
  const input: object[] = [
    {
      type: 'message',
      role: 'developer',
      content: [{ type: 'input_text', text: `Never say ${n.system}.` }],
    },
    says({
      type: 'input_text',
      text: `<environment_context>\n  <cwd>${directory}</cwd>\n  <shell>bash</shell>\n</environment_context>`,
    }),
    says(
      { type: 'input_text', text: `What of the ${n.user}?` },
      { type: 'input_image', image_url: `data:image/png;base64,${picture}`, detail: 'low' },
      { type: 'input_image', image_url: `https://${n.host}.example/${n.title}.png` },
      {
        type: 'input_file',
        filename: `${n.title}.pdf`,
        file_data: `data:application/pdf;base64,${picture}`,
      },
    ),
    {
      type: 'reasoning',
      id: 'rs_of_others',
      summary: [{ type: 'summary_text', text: n.thinking }],
      encrypted_content: Buffer.from(n.thinking.repeat(5)).toString('base64'),
    },
    {
      type: 'message',
      role: 'assistant',
      id: 'msg_0',
      content: [
        {
          type: 'output_text',
          text: 'I begin.',
          annotations: [{ type: 'url_citation', url: `https://${n.host}.example`, title: n.title }],
        },
      ],
    },
    {
      type: 'custom_tool_call',
      id: 'ctc_0',
      call_id: `call_${n.account}`,
      name: 'apply_patch',
      input: `*** Begin Patch\n*** Update File: ${directory}/${n.title}\n+{"n": 1}`,
    },
    {
      type: 'custom_tool_call_output',
      call_id: `call_${n.account}`,
      output: `Done with ${n.output}.`,
    },
    {
      type: 'web_search_call',
      id: 'ws_0',
      status: 'completed',
      action: { type: 'search', query: n.host },
    },
  ];
  const say = async (proxy: TestProxy): Promise<void> => {
    const response = await fetch(`${proxy.baseURL}/responses`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ ...members, input }),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(body);
    const { output: items } = parts.stream
      ? readResponseEvents(body).response
      : (JSON.parse(body) as { output: object[] });
    input.push(...items);
  };
  await recording(parts, async (upstream, proxy) => {
    upstream.script(thinkAndCall);
    await say(proxy);
    input.push({ type: 'function_call_output', call_id: 'call_warehouse_1', output });
    upstream.script(...hiddenSteps(`Line 77 of ${n.output}.`));
    await say(proxy);
    input.push(says({ type: 'input_text', text: `Thanks, ${n.user}.` }));
    upstream.script(answer(`You are ${n.user}.`));
    await say(proxy);
  });
}
