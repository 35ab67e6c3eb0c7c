import { join } from 'node:path';
import { coreModelId } from '../wire/core-model.ts';
import type { ClientSetup, SetupPlaces } from './client-setup.ts';
import {
  blockToPaste,
  freshText,
  installedBlock,
  installedLimits,
  installProvider,
  isInstallationOf,
  uninstallProvider,
} from './config-text.ts';
import { openCodeFacts, providerId } from './provider-entry.ts';

/** OpenCode's own files, the preferred one first. */
export function openCodePaths({ configHome }: SetupPlaces): readonly string[] {
  return ['opencode.jsonc', 'opencode.json', 'config.json'].map((name) =>
    join(configHome, 'opencode', name),
  );
}

/** Kilo Code's. */
export function kiloPaths({ configHome }: SetupPlaces): readonly string[] {
  return ['kilo.jsonc', 'kilo.json', 'config.json'].map((name) => join(configHome, 'kilo', name));
}

/** OpenCode, and in the same form its fork Kilo Code. */
export const openCodeSetup = setupOf({
  title: 'OpenCode',
  program: 'opencode',
  paths: openCodePaths,
  fresh: freshText,
});

/** Kilo Code's command line. */
export const kiloSetup = setupOf({
  title: 'Kilo Code',
  program: 'kilo',
  paths: kiloPaths,
  fresh: '{\n}\n',
});

function setupOf(own: {
  readonly title: string;
  readonly program: string;
  readonly paths: (places: SetupPlaces) => readonly string[];
  /** The text to begin with where there is no file. */
  readonly fresh: string;
}): ClientSetup {
  const { title, program, paths, fresh } = own;
  return {
    title,
    paths,
    install: (text, proxy, { liftToolOutput }) =>
      installProvider(text ?? fresh, { facts: openCodeFacts(proxy), liftToolOutput }),
    uninstall: (text, before) =>
      isInstallationOf(text, before ?? fresh)
        ? { ok: true, text: before }
        : uninstallProvider(text, before),
    liftsToolOutput: true,
    isInstalled: (text) => installedBlock(text) !== undefined,
    limitsIn: installedLimits,
    toPaste: (proxy) => blockToPaste(openCodeFacts(proxy)),
    next: () => [
      'rlm-opencode serve --background',
      `${program} models | grep ${providerId}`,
      `${program} -m ${providerId}/${coreModelId}`,
    ],
  };
}
