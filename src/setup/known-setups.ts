import type { ClientSetup } from './client-setup.ts';
import { codexSetup } from './codex-setup.ts';
import { continueSetup } from './continue-setup.ts';
import { claudeSetup, clineSetup, piSetup, qwenSetup } from './json-setups.ts';
import { kiloSetup, openCodeSetup } from './opencode-setup.ts';

/** The clients whose configuration can be written, by the names that are typed. Add one: a row. */
export const knownSetups: Readonly<Record<string, ClientSetup>> = {
  opencode: openCodeSetup,
  codex: codexSetup,
  claude: claudeSetup,
  qwen: qwenSetup,
  kilo: kiloSetup,
  pi: piSetup,
  continue: continueSetup,
  cline: clineSetup,
};
