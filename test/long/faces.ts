import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ChatClient, Seen } from '../support/chat-clients.ts';
import { startProxy } from '../support/proxy.ts';
import { messageClients } from '../support/message-clients.ts';
import { responseClients } from '../support/response-clients.ts';
import { type Scenario, scenarios } from '../support/scenarios.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';
import { hurriedClock } from '../support/test-upstream.ts';

/**
 * `node test/long/faces.ts [PART OF A NAME]`: every provider behaviour through each other protocol
 * than chat completions, seen by each of its clients. Exits with 1 if one of them saw anything else
 * than it should have.
 */
const [wanted = ''] = process.argv.slice(2);

await using scripted = await startScriptedUpstream();
const dataDir = await mkdtemp(join(tmpdir(), 'rlm-faces-'));
const names = new Set(scenarios.map(({ profile }) => profile ?? 'plain'));
const providers = Object.fromEntries(
  [...names].map((name) => [name, { baseURL: scripted.baseURL, profile: name }]),
);
const folder = join(dataDir, '.config/rlm-opencode');
await mkdir(folder, { recursive: true });
await writeFile(
  join(folder, 'config.jsonc'),
  JSON.stringify({ providers, patience: { maxRetries: 2 } }),
);
const proxy = await startProxy({ dataDir, clock: hurriedClock });

async function play({ profile, replies }: Scenario, client: ChatClient): Promise<Seen> {
  scripted.requests.length = 0;
  scripted.script(...replies.slice(0, -1));
  scripted.otherwise(replies.at(-1)!);
  return client.ask({ baseURL: proxy.baseURL, model: `${profile ?? 'plain'}.m` });
}

function rewritten(json: string, { dropsCutMembers }: ChatClient): string {
  try {
    return JSON.stringify(JSON.parse(json));
  } catch {
    return dropsCutMembers === true ? '{}' : json;
  }
}

/** What is other than it should be; empty where nothing is. */
function faultOf(
  { answer, failure, attempts = 1 }: Scenario,
  client: ChatClient,
  seen: Seen,
): string {
  const told = JSON.stringify(seen);
  if (scripted.requests.length !== attempts) return `${scripted.requests.length} attempts: ${told}`;
  if (answer !== undefined) {
    const wanted = {
      text: (answer.text ?? '') + (answer.refusal ?? ''),
      reasoning: answer.reasoning ?? '',
      calls: (answer.calls ?? []).map(({ name, arguments: args, id }, at) => ({
        id: id ?? seen.calls[at]?.id,
        name,
        arguments: client.parsesArguments === true ? rewritten(args, client) : args,
      })),
      finish: answer.finish,
      promptTokens: answer.promptTokens,
    };
    const compared = { promptTokens: undefined, ...seen };
    return isDeepStrictEqual(compared, wanted) ? '' : `${told}\n    ${JSON.stringify(wanted)}`;
  }
  if (failure === undefined) return 'a scenario without an outcome';
  const { status, words = '', afterText } = failure;
  const isBusy = status === 429;
  const isInStream =
    client.isWhole !== true &&
    (afterText !== undefined || (client.failsInStream === true && !isBusy));
  const isRight =
    seen.error?.message.includes(words) === true &&
    seen.error.status === (isInStream ? undefined : status) &&
    seen.text === (isInStream ? (afterText ?? '') : '') &&
    seen.finish !== 'stop';
  return isRight ? '' : `${told}, expected ${isInStream ? 'a failed stream' : status}`;
}

const clients = [...responseClients, ...messageClients];
let count = 0;
let failed = 0;
for (const scenario of scenarios.filter(({ name }) => name.includes(wanted)))
  for (const client of clients) {
    count += 1;
    let fault: string;
    try {
      fault = faultOf(scenario, client, await play(scenario, client));
    } catch (error) {
      fault = String(error);
    }
    if (fault === '') continue;
    failed += 1;
    console.log(`${scenario.name}, ${client.name}:\n    ${fault}`);
  }
await proxy[Symbol.asyncDispose]();
await rm(dataDir, { recursive: true });
console.log(`${scenarios.length} scenarios, ${count} plays, ${failed} failed`);
process.exitCode = failed === 0 && count > 0 ? 0 : 1;
