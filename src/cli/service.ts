import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { shellWord } from '../base/shell-word.ts';
import { machineOf } from '../config/places.ts';
import { settingLeaves } from '../config/schema.ts';
import { ProxyError } from '../errors.ts';
import { logPath } from './background.ts';
import { examples } from './examples.ts';
import { exitCodes, finish } from './run.ts';
import { print } from './screen.ts';
import { loadFromFlags } from './setting-flags.ts';

/** Where a service of this kind stands, what is in it, and how a person handles it. */
export interface ServiceFile {
  /** Absolute path. */
  readonly path: string;
  readonly text: string;
  /** Commands with what they do, in order: to start, look at and stop it. */
  readonly start: readonly (readonly [command: string, does: string])[];
  /** The commands that take it out of the running system. */
  readonly stop: readonly string[];
}

/** What a service is made for. */
export interface ServiceFacts {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  /** `~/.config`, or what XDG_CONFIG_HOME says. */
  readonly configHome: string;
  /** Program and arguments, paths absolute. */
  readonly command: readonly string[];
  /** Variables without secrets that the service is to have. */
  readonly env: Readonly<Record<string, string>>;
  /** Where output goes that has no journal. */
  readonly logFile: string;
}

const label = 'rlm-opencode';

/**
 * The file of a service for the machine's own manager: systemd's for one user, or launchd's.
 * @throws ProxyError `invalid_request` on other systems
 */
export function serviceFile(facts: ServiceFacts): ServiceFile {
  if (facts.platform === 'linux') return systemdUnit(facts);
  if (facts.platform === 'darwin') return launchdAgent(facts);
  throw new ProxyError('invalid_request', `There is no service for ${facts.platform} here.`, {
    hint: '`rlm-opencode serve --background` starts the server without one.',
  });
}

function systemdUnit({ configHome, command, env }: ServiceFacts): ServiceFile {
  const variables = Object.entries(env).map(
    ([name, value]) => `Environment=${unitWord(`${name}=${value}`)}\n`,
  );
  return {
    path: join(configHome, 'systemd/user', `${label}.service`),
    text: `[Unit]
Description=RLM-OpenCode, a memory for coding assistants
After=network-online.target

[Service]
ExecStart=${command.map((word) => unitWord(word.replaceAll('$', '$$$$'))).join(' ')}
${variables.join('')}# Keys that must not stand here: a file of its own, RLM_UPSTREAM_API_KEY=...
EnvironmentFile=-%h/.config/rlm-opencode/environment
Restart=on-failure
# The server hands out live answers before it ends.
TimeoutStopSec=30

[Install]
WantedBy=default.target
`,
    start: [
      ['systemctl --user daemon-reload', ''],
      [`systemctl --user enable --now ${label}`, 'starts it, now and at each login'],
      [`systemctl --user status ${label}`, 'says how it is'],
      [`journalctl --user -fu ${label}`, 'shows its log'],
      ['loginctl enable-linger', 'if it is to run without a login'],
    ],
    stop: [`systemctl --user disable --now ${label}`],
  };
}

/** A word of a systemd unit, whatever is in it; in commands `$` has to be doubled, too. */
function unitWord(word: string): string {
  const escaped = word.replaceAll('%', '%%');
  return /^[\w./:=@%+,-]+$/.test(escaped)
    ? escaped
    : `"${escaped.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll('\n', String.raw`\n`)}"`;
}

function launchdAgent({ home, command, env, logFile }: ServiceFacts): ServiceFile {
  const path = join(home, 'Library/LaunchAgents', `${label}.plist`);
  const words = command.map((word) => `    <string>${xmlText(word)}</string>\n`);
  const variables = Object.entries(env).map(
    ([name, value]) => `    <key>${xmlText(name)}</key>\n    <string>${xmlText(value)}</string>\n`,
  );
  const environment =
    variables.length === 0
      ? ''
      : `  <key>EnvironmentVariables</key>\n  <dict>\n${variables.join('')}  </dict>\n`;
  return {
    path,
    text: `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${label}</string>
  <key>ProgramArguments</key>
  <array>
${words.join('')}  </array>
${environment}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>StandardOutPath</key>
  <string>${xmlText(logFile)}</string>
  <key>StandardErrorPath</key>
  <string>${xmlText(logFile)}</string>
</dict>
</plist>
`,
    start: [
      [`launchctl bootstrap gui/$(id -u) ${shellWord(path)}`, 'starts it, now and at each login'],
      [`launchctl print gui/$(id -u)/${label}`, 'says how it is'],
      ['rlm-opencode logs -f', 'shows its log'],
    ],
    stop: [`launchctl bootout gui/$(id -u)/${label}`],
  };
}

function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/**
 * `rlm-opencode service install | uninstall`: the server as a service of the system, for one user.
 */
export function serviceCommand(): Command {
  const install = new Command('install')
    .description("write the service's file, and say how to start it")
    .option('--dry-run', 'only show what would be written')
    .addHelpText(
      'after',
      examples(
        ['rlm-opencode service install --dry-run', 'the file, unwritten'],
        ['rlm-opencode service install', 'then the commands that it names'],
      ),
    )
    .action(({ dryRun = false }: { dryRun?: boolean }) => installService(dryRun));
  const uninstall = new Command('uninstall')
    .description("take the service's file away")
    .option('--dry-run', 'only show what would be done')
    .addHelpText('after', examples(['rlm-opencode service uninstall', '']))
    .action(({ dryRun = false }: { dryRun?: boolean }) => uninstallService(dryRun));
  return new Command('service')
    .description('run the server as a service of your user (systemd, launchd)')
    .addCommand(install)
    .addCommand(uninstall);
}

function installService(isDry: boolean): void {
  const { path, text, start } = thisService();
  if (isDry) {
    print(`Would write ${path}:\n\n${text}\n`);
  } else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    print(`Wrote ${path}.\n`);
  }
  const widest = Math.max(...start.map(([command]) => command.length));
  const isBeside = start.every(([, does]) => widest + does.length + 4 <= maxWidth);
  const lines = start.map(([command, does]) =>
    does === ''
      ? `  ${command}\n`
      : isBeside
        ? `  ${command.padEnd(widest)}  ${does}\n`
        : `  ${command}\n      ${does}\n`,
  );
  print(
    `${isDry ? 'Then' : 'Now'}:\n${lines.join('')}Undo it with: rlm-opencode service uninstall\n`,
  );
}

/** Cells of a terminal that a line may take. */
const maxWidth = 80;

function uninstallService(isDry: boolean): void {
  const { path, stop } = thisService();
  if (!existsSync(path)) {
    print(`There is no ${path}.\n`);
    finish(exitCodes.nothing);
    return;
  }
  if (!isDry) rmSync(path);
  const commands = stop.map((command) => `  ${command}\n`).join('');
  print(
    `${isDry ? 'Would take away' : 'Took away'} ${path}.\nIf it is running, this ends it:\n${commands}`,
  );
}

/** For this machine, its Node and its settings. Keys are never written into a service's file. */
function thisService(): ServiceFile {
  const { env, homeDir, folders } = machineOf();
  const { config } = loadFromFlags({});
  const given = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      /^RLM_[A-Z_]+$/.test(entry[0]) && entry[1] !== undefined && !secrets.has(entry[0]),
  );
  return serviceFile({
    platform: process.platform,
    home: homeDir,
    configHome: folders.configHome,
    command: [process.execPath, resolve(process.argv[1] ?? ''), 'serve'],
    env: Object.fromEntries(given),
    logFile: logPath(config.dataDir),
  });
}

/** Variables that hold a secret. */
const secrets: ReadonlySet<string> = new Set(
  settingLeaves.flatMap(({ env, secret }) => (secret === true && env !== undefined ? [env] : [])),
);
