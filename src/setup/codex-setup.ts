import { join } from 'node:path';
import { codex } from '../clients/codex.ts';
import { homeOf } from '../clients/home.ts';
import { type ClientSetup, limitsOf } from './client-setup.ts';
import { hasPart, withoutPart, withPart } from './marked-part.ts';
import { providerId } from './provider-entry.ts';
import type { ProxyFacts } from './proxy-facts.ts';
import { codexValues } from './runs.ts';

/**
 * Codex: a profile, which is a file of its own beside `config.toml`. What the user writes around
 * our part of it stays.
 */
export const codexSetup: ClientSetup = {
  title: 'Codex',
  paths: (places) => [join(homeOf(codex, places), `${providerId}.config.toml`)],
  install: (text, proxy) => ({
    ok: true,
    text: withPart(text ?? '', profileLines(proxy), { offset: text?.length ?? 0, indent: '' }),
  }),
  uninstall: (text) => {
    const rest = withoutPart(text);
    return { ok: true, text: rest.trim() === '' ? undefined : rest };
  },
  isInstalled: hasPart,
  // Of answers it is told nothing.
  limitsIn: (text) => {
    const window = /^model_context_window = (\d+)$/m.exec(text)?.[1];
    return limitsOf(window, window);
  },
  toPaste: (proxy) => profileLines(proxy).join('\n'),
  next: () => ['rlm-opencode serve --background', `codex --profile ${providerId}`],
};

/** Members at the top come first in TOML, then the table. */
function profileLines(proxy: ProxyFacts): readonly string[] {
  const { top, provider } = codexValues(proxy);
  return [...tomlLines(top), `[model_providers.${providerId}]`, ...tomlLines(provider)];
}

function tomlLines(values: object): readonly string[] {
  return Object.entries(values).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
}
