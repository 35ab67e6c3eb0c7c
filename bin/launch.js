import { existsSync } from 'node:fs';
import module from 'node:module';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program is written for this Node; a checkout brings it along as a development dependency. */
const neededMajor = 24;

/**
 * Runs the built program: here if this Node is new enough, else under the one in the checkout.
 * @param {string} entry Path of the entry module from this folder
 */
export async function launch(entry) {
  const entryUrl = new URL(entry, import.meta.url);
  if (!existsSync(entryUrl)) fail('rlm-opencode is not built yet. Run: npm ci');
  if (Number(process.versions.node.split('.')[0]) >= neededMajor) {
    // Compiled code is kept between starts: a command spends half of its time on compiling
    // otherwise.
    module.enableCompileCache?.();
    await import(entryUrl.href);
    return;
  }
  const bundled = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));
  if (!existsSync(bundled)) {
    fail(oldNodeText());
  }
  const { spawn } = await import('node:child_process');
  const child = spawn(bundled, [fileURLToPath(entryUrl), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // Ctrl-C reaches both; only what is sent to this process alone has to be handed on.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
}

/** What to type where Node is too old. */
function oldNodeText() {
  const name = basename(process.argv[1] ?? 'rlm-opencode').replace(/\.js$/, '');
  const typed = [name, ...process.argv.slice(2)].map(shellWord).join(' ');
  return `rlm-opencode needs Node ${neededMajor} or newer; this is ${process.version} (${process.execPath}).

This once, with a Node ${neededMajor} that npm fetches and keeps for itself:
  npx -y -p node@${neededMajor} -- ${typed}

For good, with a version manager (then install rlm-opencode again, under the new Node):
  nvm install ${neededMajor} && nvm alias default ${neededMajor}
  fnm install ${neededMajor} && fnm default ${neededMajor}
  volta install node@${neededMajor}

Or from https://nodejs.org/en/download`;
}

/** @param {string} word As a shell has to be given it */
function shellWord(word) {
  return /^[\w./:=@,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** @param {string} message */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
