import { Command } from 'commander';
import { readOwner } from '../store/disk/owner.ts';
import { isAnswering, serverOf } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { knownServer, type ServerFacts } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { print, printJson } from './screen.ts';

/** `rlm-opencode status`: whether a server holds the data directory, and what it says of itself. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('say whether the server is running, and how it is')
    .option('--json', 'as JSON');
  return addSettingFlags(command, ['data-dir']).action(async (options: { json?: boolean }) => {
    const { config } = loadFromFlags({ ...options });
    const owner = await readOwner(config.dataDir);
    const server = serverOf(owner);
    const running = server !== undefined && (await isAnswering(server));
    const health = running ? await fetchHealth(server.address) : undefined;
    const facts = running ? (await knownServer(config))?.facts : undefined;
    if (!running) finish(exitCodes.nothing);
    if (options.json === true) {
      const { address, pid } = server ?? {};
      printJson(
        { running, address, pid, health, model: facts?.model, upstreams: facts?.upstreams },
        2,
      );
      return;
    }
    if (server === undefined) {
      const holder =
        owner === undefined ? '' : ` Process ${owner.pid} (a command) holds the stores.`;
      print(`No server is running for ${config.dataDir}.${holder}\n`);
      return;
    }
    const answer = running ? 'is running' : 'does not answer';
    print(`The server at ${server.address} (process ${server.pid}) ${answer}.\n`);
    if (facts !== undefined) print(factsText(facts));
    for (const [name, value] of Object.entries(health ?? {})) {
      print(`  ${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
    }
  });
}

function factsText({ model, upstreams }: ServerFacts): string {
  const lines = upstreams.map((upstream) => `  upstream: ${upstream}`);
  if (upstreams.length === 0) lines.push('  upstream: none, the built-in demo answers');
  if (model !== undefined) {
    const { name, contextWindowTokens, maxOutputTokens, isAssumed } = model;
    const assumed = isAssumed ? ' (assumed)' : '';
    lines.push(
      `  model: ${name}, window ${contextWindowTokens} tokens${assumed}, answer ${maxOutputTokens}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** What a running server says of itself; needs no token. */
export async function fetchHealth(address: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${address}/health`);
  return (await response.json()) as Record<string, unknown>;
}
