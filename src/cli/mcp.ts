import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { addDataDirFlag } from './data-dir-flag.ts';
import { examples } from './examples.ts';
import { printError } from './screen.ts';
import { choiceOf, type SessionFlags } from './session-flags.ts';
import { readVersion } from './version.ts';

/** `rlm-opencode mcp`: the tools that read, for any assistant that speaks the protocol. */
export function mcpCommand(): Command {
  const command = new Command('mcp')
    .description('the store as an MCP server on stdio, for assistants with a model of their own')
    .option('--directory <dir>', "the project (default: the client's workspace, or this directory)")
    .option('--session <id>', 'the store by its session id')
    .addHelpText(
      'after',
      examples(
        [
          'claude mcp add rlm -- rlm-opencode mcp',
          'enters it into Claude Code; codex has the same',
        ],
        ['rlm-opencode mcp', 'what a client starts; it ends with the client'],
      ),
    );
  return addDataDirFlag(command).action(async (flags: SessionFlags) => {
    // Loaded only here: the protocol, and nothing of the stores until they are asked.
    const [{ serveStdio }, { createRlmServer }, { StoreAccess }] = await Promise.all([
      import('@modelcontextprotocol/server/stdio'),
      import('../mcp/rlm-server.ts'),
      import('./store-access.ts'),
    ]);
    await using stores = new StoreAccess(flags);
    const gone = Promise.withResolvers<void>();
    const { stdin } = process;
    for (const event of ['end', 'close']) stdin.once(event, () => gone.resolve());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => gone.resolve());
    process.stdout.once('error', () => gone.resolve());
    const handle = serveStdio(
      () =>
        createRlmServer({
          version: readVersion(),
          clock: systemClock,
          ask: async (...asked) => stores.ask(...asked),
          choice: choiceOf(flags),
          usesRoots: flags.directory === undefined && flags.session === undefined,
        }),
      { onerror: (error) => printError(`rlm-opencode mcp: ${error.message}\n`) },
    );
    await gone.promise;
    await handle.close();
    // Nothing is left to be said to anybody.
    stdin.destroy();
  });
}
