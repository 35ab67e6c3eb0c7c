import type { EditOutcome } from './config-text.ts';
import type { ProxyFacts } from './proxy-facts.ts';

/** Where a user's configurations lie. */
export interface SetupPlaces {
  /** `~/.config`, or what XDG_CONFIG_HOME says. */
  readonly configHome: string;
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A configuration without the proxy; without `text` nothing is left of the file. */
export type Uninstalled =
  | { readonly ok: true; readonly text: string | undefined }
  | Extract<EditOutcome, { ok: false }>;

/**
 * How the proxy is put into a client's own configuration file, as data and pure functions of the
 * file's text. All else in the text stays: comments, order, what the user has added to our part.
 */
export interface ClientSetup {
  /** As its makers write it. */
  readonly title: string;
  /** Files that it reads, the preferred one first. */
  readonly paths: (places: SetupPlaces) => readonly string[];
  /** @param text Absent for a file that does not exist */
  readonly install: (
    text: string | undefined,
    proxy: ProxyFacts,
    options: SetupOptions,
  ) => EditOutcome | Promise<EditOutcome>;
  /** @param before The text before the first installation, where there was one */
  readonly uninstall: (
    text: string,
    before: string | undefined,
  ) => Uninstalled | Promise<Uninstalled>;
  /** Whether it has a cut of tool outputs that can be lifted. */
  readonly liftsToolOutput?: boolean;
  readonly isInstalled: (text: string) => boolean;
  /** The limits that stand in a text, tokens. */
  readonly limitsIn: (text: string) => InstalledLimits | undefined;
  /** What to write by hand where the file cannot be edited. */
  readonly toPaste: (proxy: ProxyFacts) => string;
  /** What can be typed then, a line each. */
  readonly next: (proxy: ProxyFacts) => readonly string[];
}

/** What else an installation may do. */
interface SetupOptions {
  /** Also lift the client's own cut of tool outputs, for all of its providers. */
  readonly liftToolOutput: boolean;
}

/** Limits of a model in a client's configuration, tokens. */
export interface InstalledLimits {
  readonly contextWindowTokens: number;
  readonly maxOutputTokens: number;
}

/** Two numbers out of a configuration as limits, if they are. */
export function limitsOf(context: unknown, output: unknown): InstalledLimits | undefined {
  const [contextWindowTokens, maxOutputTokens] = [context, output].map(Number);
  return contextWindowTokens !== undefined &&
    maxOutputTokens !== undefined &&
    contextWindowTokens > 0 &&
    maxOutputTokens > 0
    ? { contextWindowTokens, maxOutputTokens }
    : undefined;
}
