import { homedir } from 'node:os';
import { grouped } from '../base/numbers.ts';
import type { Environment } from '../config/places.ts';
import { programOn } from './on-path.ts';
import type { ServerFacts } from './server-facts.ts';

/**
 * What a server says of itself when it listens, and what to do next: some lines for a screen, each
 * ending in a line feed.
 * @param server.logFile Where a background server writes what it does
 * @param server.env Given where npm may have started it: its commands need not be on the PATH then
 */
export function startText(
  { model, upstreams }: Pick<ServerFacts, 'model' | 'upstreams'>,
  server: { readonly dataDir: string; readonly logFile?: string; readonly env?: Environment },
): string {
  const rows: [string, string][] = upstreams.map((upstream) => ['upstream', upstream]);
  if (rows.length === 0) rows.push(['model', 'none: the built-in demo answers, no language model']);
  if (model !== undefined) rows.push(['model', modelText(model)]);
  rows.push(['data', shortPath(server.dataDir)]);
  if (server.logFile !== undefined) rows.push(['log', shortPath(server.logFile)]);
  const steps = nextSteps(model === undefined, server.logFile !== undefined);
  if (isUnlinked(server.env))
    steps.unshift('npm link               once: `rlm-opencode` is a command then');
  const [first, ...others] = steps;
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
    ['rlm-opencode open', 'that and what is stored, in your browser'],
    end,
  ];
  return steps.map(([command = '', does = '']) => `${command.padEnd(21)}  ${does}`);
}

/** Whether npm runs this in a checkout, and the words below would not be found if typed. */
function isUnlinked(env: Environment = {}): boolean {
  return (
    env['npm_lifecycle_event'] !== undefined &&
    programOn(env['PATH'] ?? '', 'rlm-opencode') === undefined
  );
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
