import { join } from 'node:path';
import { claudeCode } from '../clients/claude-code.ts';
import { cline } from '../clients/cline.ts';
import { codex } from '../clients/codex.ts';
import { homeOf, variableFolder } from '../clients/home.ts';
import { qwenCode } from '../clients/qwen-code.ts';
import { isObject } from '../wire/json.ts';
import type { ClientSetup, SetupPlaces } from './client-setup.ts';
import { freshText } from './config-text.ts';
import { jsonSetup } from './json-setups.ts';
import type { OwnMember } from './json-members.ts';
import { codexTable } from './codex-table.ts';
import { kiloPaths, openCodePaths } from './opencode-setup.ts';
import { providerId } from './provider-entry.ts';

/** A client that can have our tools beside a model of its own, as data. */
interface McpClient {
  /** As its makers write it. */
  readonly title: string;
  /** Files that it reads, the preferred one first. */
  readonly paths: (places: SetupPlaces) => readonly string[];
  /** What a file begins as; absent: empty. */
  readonly fresh?: string;
  /** The member that holds its servers by their names. */
  readonly section: string;
  /** How it writes down a program that it is to start. */
  readonly entry: (program: string, args: readonly string[]) => Readonly<Record<string, unknown>>;
  /** Where one sees that it has it. */
  readonly look: string;
}

/** What most clients have taken over from the first one. */
function usualEntry(command: string, args: readonly string[]): Record<string, unknown> {
  return { command, args };
}

function openCodeEntry(program: string, args: readonly string[]): Record<string, unknown> {
  return { type: 'local', command: [program, ...args], enabled: true };
}

/** Where VS Code keeps what is the user's own, by system. */
function codeFolder({ configHome, homeDir }: SetupPlaces): string {
  return process.platform === 'darwin'
    ? join(homeDir, 'Library/Application Support/Code/User')
    : join(configHome, 'Code/User');
}

/** Beside its settings folder, unless that is moved: then in it. */
function claudeFile(places: SetupPlaces): string {
  const moved = variableFolder(claudeCode.home?.variables ?? [], places);
  return join(moved ?? places.homeDir, '.claude.json');
}

function clineFile(places: SetupPlaces): string {
  const data = variableFolder(['CLINE_DATA_DIR'], places) ?? join(homeOf(cline, places), 'data');
  return (
    variableFolder(['CLINE_MCP_SETTINGS_PATH'], places) ??
    join(data, 'settings/cline_mcp_settings.json')
  );
}

const jsonClients: Readonly<Record<string, McpClient>> = {
  opencode: {
    title: 'OpenCode',
    paths: openCodePaths,
    fresh: freshText,
    section: 'mcp',
    entry: openCodeEntry,
    look: 'opencode mcp list',
  },
  claude: {
    title: 'Claude Code',
    paths: (places) => [claudeFile(places)],
    section: 'mcpServers',
    entry: (program, args) => ({ type: 'stdio', ...usualEntry(program, args) }),
    look: 'claude mcp list',
  },
  qwen: {
    title: 'Qwen Code',
    paths: (places) => [join(homeOf(qwenCode, places), 'settings.json')],
    section: 'mcpServers',
    entry: usualEntry,
    look: 'qwen mcp list',
  },
  kilo: {
    title: 'Kilo Code',
    paths: kiloPaths,
    section: 'mcp',
    entry: openCodeEntry,
    look: 'kilo mcp list',
  },
  cline: {
    title: 'Cline',
    paths: (places) => [clineFile(places)],
    section: 'mcpServers',
    entry: usualEntry,
    look: 'cline mcp',
  },
  gemini: {
    title: 'Gemini CLI',
    paths: ({ homeDir }) => [join(homeDir, '.gemini/settings.json')],
    section: 'mcpServers',
    entry: usualEntry,
    look: 'gemini mcp list',
  },
  cursor: {
    title: 'Cursor',
    paths: ({ homeDir }) => [join(homeDir, '.cursor/mcp.json')],
    section: 'mcpServers',
    entry: usualEntry,
    look: 'its settings show it among the MCP servers',
  },
  vscode: {
    title: 'VS Code',
    paths: (places) => [join(codeFolder(places), 'mcp.json')],
    section: 'servers',
    entry: (program, args) => ({ type: 'stdio', ...usualEntry(program, args) }),
    look: 'MCP: List Servers, in its command palette',
  },
};

/** The clients that can have our tools without our model, by the names that are typed. */
export const mcpClientNames: readonly string[] = ['codex', ...Object.keys(jsonClients)];

/**
 * How `rlm-opencode mcp` is put into a client's configuration, for who keeps another model.
 * @param command What the client is to start: a program and its arguments
 */
export function mcpSetup(name: string, command: readonly string[]): ClientSetup | undefined {
  const [program = '', ...args] = command;
  if (name === 'codex') return codexMcpSetup(program, args);
  const client = Object.hasOwn(jsonClients, name) ? jsonClients[name] : undefined;
  if (client === undefined) return undefined;
  const path = [client.section, providerId];
  const members = Object.entries(client.entry(program, args)).map(([member, value]): OwnMember => ({
    path: [...path, member],
    value,
    // Who has turned it off has done so.
    isOnlyNew: member === 'enabled',
  }));
  return jsonSetup({
    title: client.title,
    paths: client.paths,
    ...(client.fresh !== undefined && { fresh: client.fresh }),
    members: () => members,
    taken: [{ path }],
    sign: { path, is: isObject },
    limitsIn: () => undefined,
    next: () => [client.look],
  });
}

/** Codex has all of its servers in its one file, each a table. */
function codexMcpSetup(program: string, args: readonly string[]): ClientSetup {
  const table = codexTable(['mcp_servers', providerId], {
    command: JSON.stringify(program),
    args: `[${args.map((arg) => JSON.stringify(arg)).join(', ')}]`,
  });
  return {
    title: 'Codex',
    paths: (places) => [join(homeOf(codex, places), 'config.toml')],
    install: (text = '') => table.put(text),
    uninstall: (text, before) => ({ ok: true, text: table.take(text, before) }),
    isInstalled: table.isIn,
    limitsIn: () => undefined,
    toPaste: () => table.text,
    next: () => ['codex mcp list'],
  };
}
