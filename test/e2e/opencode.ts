import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { providerId } from '../../src/setup/provider-entry.ts';
import { patienceMs } from './patience.ts';
import { Program, runProgram, type Finished } from './process.ts';
import { coreModelId } from '../../src/wire/core-model.ts';

/** Our model as OpenCode names it. */
export const modelName = `${providerId}/${coreModelId}`;

/** One line of `run --format json`. */
export interface RunEvent {
  readonly type: string;
  readonly sessionID: string;
  readonly part?: {
    readonly type?: string;
    readonly text?: string;
    readonly tool?: string;
    readonly callID?: string;
    readonly state?: { readonly status?: string; readonly output?: string };
  };
}

/** What came out of `opencode run`. */
export interface Run extends Finished {
  readonly events: readonly RunEvent[];
  /** All text that the user sees. */
  readonly text: string;
  /** Names of the tools that OpenCode ran. */
  readonly tools: readonly string[];
}

/** The real program with a home of its own. */
export class OpenCode {
  readonly #binary: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #home: string;
  readonly #project: string;
  /** Everything that it has said to its user. */
  said = '';

  constructor(
    binary: string,
    options: {
      readonly home: string;
      readonly project: string;
      readonly env: Readonly<Record<string, string>>;
    },
  ) {
    this.#binary = binary;
    this.#home = options.home;
    this.#project = options.project;
    this.#env = { ...options.env, ...offlineEnv };
  }

  /**
   * Makes its configuration folder look as if its plugin package were there, so that it does not
   * look for it on the network.
   */
  async prepare(): Promise<void> {
    const folder = join(this.#home, 'config', 'opencode');
    const dependencies = { '@opencode-ai/plugin': '*' };
    await mkdir(join(folder, 'node_modules'), { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ dependencies }));
    await writeFile(
      join(folder, 'package-lock.json'),
      JSON.stringify({ lockfileVersion: 3, packages: { '': { dependencies } } }),
    );
  }

  /** `opencode ARGS` in the project. */
  async command(...args: readonly string[]): Promise<Finished> {
    const options = { cwd: this.#project, env: this.#env, timeoutMs: patienceMs };
    const done = await runProgram(this.#binary, args, options);
    this.said += done.stdout;
    return done;
  }

  /** `opencode run MESSAGE` with our model. @throws Error with what it said when it fails */
  async run(message: string, ...args: readonly string[]): Promise<Run> {
    const done = await this.command('run', message, '--format', 'json', '-m', modelName, ...args);
    const events = done.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as RunEvent);
    const parts = events.map((event) => event.part);
    if (done.code !== 0 || events.some((event) => event.type === 'error'))
      throw new Error(`opencode run ended with ${done.code}:\n${done.stdout}\n${done.stderr}`);
    return {
      ...done,
      events,
      text: parts.map((part) => (part?.type === 'text' ? part.text : '')).join(''),
      tools: parts.flatMap((part) => (part?.tool === undefined ? [] : [part.tool])),
    };
  }

  /** `opencode serve` on a free port. */
  async serve(): Promise<OpenCodeServer> {
    const program = new Program(this.#binary, ['serve', '--port', '0'], {
      cwd: this.#project,
      env: this.#env,
    });
    const [, origin] = await program.said(/listening on (http:\/\/\S+)/, patienceMs);
    return new OpenCodeServer(program, origin as string, {
      project: this.#project,
      hear: (text) => {
        this.said += text;
      },
    });
  }
}

/** A message in OpenCode's own form. */
interface Said {
  readonly info: { readonly id: string; readonly role: string };
}

/** OpenCode's own server, for what its command line cannot do. */
export class OpenCodeServer {
  readonly #program: Program;
  readonly #origin: string;
  readonly #options: { readonly project: string; readonly hear: (text: string) => void };

  constructor(
    program: Program,
    origin: string,
    options: { readonly project: string; readonly hear: (text: string) => void },
  ) {
    this.#program = program;
    this.#origin = origin;
    this.#options = options;
  }

  /** A new session; with a title it never asks the model for one. */
  async newSession(title: string): Promise<string> {
    const { id } = (await this.#post('/session', { title })) as { id: string };
    return id;
  }

  /** Sends a message and waits for the end of the turn. */
  async ask(session: string, text: string): Promise<string> {
    const [providerID, modelID] = [providerId, coreModelId];
    const answered = (await this.#post(`/session/${session}/message`, {
      model: { providerID, modelID },
      parts: [{ type: 'text', text }],
    })) as { parts?: { type: string; text?: string }[] };
    return (answered.parts ?? [])
      .map((part) => (part.type === 'text' ? (part.text ?? '') : ''))
      .join('');
  }

  /** As `/undo` does: the last question and what came of it are out of the history. */
  async undo(session: string): Promise<void> {
    const said = (await this.#get(`/session/${session}/message`)) as Said[];
    const messageID = said.findLast(({ info }) => info.role === 'user')?.info.id;
    await this.#post(`/session/${session}/revert`, { messageID });
  }

  /** As Esc does. */
  async abort(session: string): Promise<void> {
    await this.#post(`/session/${session}/abort`, {});
  }

  /** As `/compact` does. */
  async compact(session: string): Promise<void> {
    const [providerID, modelID] = [providerId, coreModelId];
    await this.#post(`/session/${session}/summarize`, { providerID, modelID });
  }

  async #get(path: string): Promise<unknown> {
    return this.#fetch(path, {});
  }

  async #post(path: string, body: unknown): Promise<unknown> {
    return this.#fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async #fetch(path: string, init: RequestInit): Promise<unknown> {
    const url = `${this.#origin}${path}?directory=${encodeURIComponent(this.#options.project)}`;
    const signal = AbortSignal.timeout(patienceMs);
    const response = await fetch(url, { ...init, signal });
    const text = await response.text();
    this.#options.hear(text);
    if (!response.ok) throw new Error(`OpenCode's ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
  }
}

/** No catalog, no update, no share, no question: a run must end by itself and touch no network. */
const offlineEnv = {
  OPENCODE_DISABLE_MODELS_FETCH: '1',
  OPENCODE_DISABLE_AUTOUPDATE: '1',
  OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
  OPENCODE_DISABLE_EXTERNAL_SKILLS: '1',
  OPENCODE_DISABLE_CLAUDE_CODE: '1',
  OPENCODE_CONFIG_CONTENT: JSON.stringify({
    share: 'disabled',
    autoupdate: false,
    permission: { '*': 'allow' },
    enabled_providers: [providerId],
  }),
};
