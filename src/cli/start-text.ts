import { homedir } from 'node:os';
import { grouped } from '../base/numbers.ts';
import type { ServerFacts } from './server-facts.ts';

/**
 * What a server says of itself when it listens, and what to do next: some lines for a screen, each
 * ending in a line feed.
 * @param server.logFile Where a background server writes what it does
 */
export function startText(
  { model, upstreams }: Pick<ServerFacts, 'model' | 'upstreams'>,
  server: { readonly dataDir: string; readonly logFile?: string },
): string {
  const rows: [string, string][] = upstreams.map((upstream) => ['upstream', upstream]);
  if (rows.length === 0) rows.push(['upstream', 'none: the built-in demo answers']);
  if (model !== undefined) rows.push(['model', modelText(model)]);
  rows.push(['data', shortPath(server.dataDir)]);
  if (server.logFile !== undefined) rows.push(['log', shortPath(server.logFile)]);
  const [first, ...others] = nextSteps(model === undefined, server.logFile !== undefined);
  rows.push(['next', first ?? '']);
  for (const step of others) rows.push(['', step]);
  return rows.map(([name, text]) => `  ${name.padEnd(8)}  ${text}\n`).join('');
}

function nextSteps(isDemo: boolean, isBackground: boolean): string[] {
  const end = isBackground
    ? ['rlm-opencode stop', 'ends it']
    : ['Ctrl-C', 'ends it; each turn gets a line here'];
  const steps = [
    isDemo
      ? ['rlm-opencode init', 'sets up a model']
      : ['rlm-opencode opencode', 'starts OpenCode (or codex, claude, qwen)'],
    ['rlm-opencode status', 'what it has done and saved'],
    end,
  ];
  return steps.map(([command = '', does = '']) => `${command.padEnd(21)}  ${does}`);
}

/** `zai.glm-5, window 200,000 tokens`. */
export function modelText({
  name,
  contextWindowTokens,
  isAssumed,
}: NonNullable<ServerFacts['model']>): string {
  const assumed = isAssumed ? ' (assumed)' : '';
  return `${name}, window ${grouped(contextWindowTokens)} tokens${assumed}`;
}

/** With `~` for the home directory. */
export function shortPath(path: string): string {
  const home = homedir();
  return path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}
