import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { Command } from 'commander';
import { countOf } from '../../base/numbers.ts';
import { ProxyError } from '../../errors.ts';
import { isSessionId } from '../../store/disk/session-paths.ts';
import type { MovedSession } from '../../store/types.ts';
import { addDataDirFlag } from '../data-dir-flag.ts';
import { withOperations } from '../operations-client.ts';
import { print, printJson } from '../screen.ts';
import { shortPath } from '../start-text.ts';

/** `rlm-opencode sessions move`: gives a store to another directory. */
export function moveCommand(): Command {
  const command = new Command('move')
    .description('give a store to another directory; no text is touched')
    .argument('<from>', 'the directory that has it, which may be gone, or a session id')
    .argument('<to>', 'the directory that is to have it')
    .option('--replace', 'put the store aside that it has: it is then reached by its id alone')
    .option('--json', 'JSON for machines');
  return addDataDirFlag(command).action(moveSession);
}

async function moveSession(
  from: string,
  to: string,
  flags: { replace?: boolean; json?: boolean; dataDir?: string },
): Promise<void> {
  const target = targetOf(to);
  const sources = isSessionId(from) ? [from] : spellingsOf(from);
  await withOperations(flags, async (call) => {
    const replace = flags.replace === true;
    const moved = (await call('move-session', {
      from: sources,
      to: target,
      replace,
    })) as MovedSession;
    if (flags.json === true) printJson(moved, 2);
    else print(movedText(moved));
  });
}

function movedText(moved: MovedSession): string {
  const { session, from, to, entries, putAside, removed } = moved;
  const what = `${session} (${countOf(entries, 'entry', 'entries')})`;
  if (from === to) return `${what} is the store of\n  ${shortPath(to)}\nalready.\n`;
  const lines = [`${what} is now the store of\n  ${shortPath(to)}`];
  if (from !== undefined)
    lines.push(
      existsSync(from)
        ? `and no longer of\n  ${shortPath(from)}\nwhich begins with an empty one at its next chat.`
        : `and no longer of\n  ${shortPath(from)}`,
    );
  if (putAside !== undefined)
    lines.push(
      `The one that it had is kept as ${putAside}, without a directory:`,
      `  rlm-opencode stats --session ${putAside}`,
    );
  if (removed !== undefined) lines.push('The empty one that it had is deleted.');
  return `${lines.join('\n')}\n`;
}

/** @throws ProxyError `invalid_request` for what cannot be a project directory */
function targetOf(to: string): string {
  if (isSessionId(to)) {
    throw new ProxyError('invalid_request', `${to} is a session: a store is moved to a directory.`);
  }
  if (!existsSync(to) && !isAbsolute(to)) {
    throw new ProxyError('invalid_request', `There is no directory ${to} here.`, {
      hint: 'One on another machine, or one that is yet to come, is given by its absolute path.',
    });
  }
  return realOf(resolve(to));
}

/** As it is written, and with the links above it resolved. */
function spellingsOf(directory: string): string[] {
  const path = resolve(directory);
  return [...new Set([path, realOf(path)])];
}

/** A path with its links resolved as far as there is anything of it. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(realOf(above), basename(path));
  }
}
