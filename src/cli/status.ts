import { Command } from 'commander';
import { readOwner } from '../store/disk/owner.ts';
import { isAnswering, serverOf } from './operations-client.ts';
import { exitCodes, finish } from './run.ts';
import { knownServer, type ServerFacts } from './server-facts.ts';
import { addSettingFlags, loadFromFlags } from './setting-flags.ts';
import { print, printJson } from './screen.ts';
import { modelText, shortPath } from './start-text.ts';
import { conditionText, savedText } from './status-text.ts';
import { examples } from './examples.ts';

/** `rlm-opencode status`: whether a server holds the data directory, and what it says of itself. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('say whether the server is running, and what it has done and saved')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode status', 'what runs, and what it has saved'],
        ['rlm-opencode status --json', 'every count'],
      ),
    );
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
      print(`No server is running for ${shortPath(config.dataDir)}.${holder}\n`);
      if (owner === undefined) print('Start one: rlm-opencode serve --background\n');
      return;
    }
    const { address, pid } = server;
    if (!running) {
      print(
        `The server at ${address} (process ${pid}) does not answer.\nWhat it says: rlm-opencode logs. If it hangs: kill ${pid}\n`,
      );
      return;
    }
    print(`The server at ${address} (process ${pid}) is running.\n`);
    if (facts !== undefined) print(factsText(facts));
    print(`  data      ${shortPath(config.dataDir)}\n\n`);
    if (health !== undefined) print(`${savedText(health)}${conditionText(health)}`);
  });
}

function factsText({ model, upstreams }: ServerFacts): string {
  const lines = upstreams.map((upstream) => `  upstream  ${upstream}\n`);
  if (lines.length === 0)
    lines.push(
      '  model     none: the built-in demo answers, no language model\n            rlm-opencode init sets one up\n',
    );
  if (model !== undefined) lines.push(`  model     ${modelText(model)}\n`);
  return lines.join('');
}

/** What a running server says of itself; needs no token. */
export async function fetchHealth(address: string): Promise<Record<string, unknown>> {
  const response = await fetch(`${address}/health`);
  return (await response.json()) as Record<string, unknown>;
}
