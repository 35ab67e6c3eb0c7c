import { expect, test } from 'vitest';
import { loadConfig } from './load.ts';
import { recordedConfig } from './recorded.ts';
import { maskedConfig } from './show.ts';

const here = { dataDir: '/here', token: 'fresh', upstreamOrigin: 'http://127.0.0.1:9' };

/** What a trace would hold of a server that was set up to reach far. */
function farReaching(): Record<string, unknown> {
  const { config } = loadConfig({
    env: {
      RLM_DATA_DIR: '/theirs/data',
      RLM_TRACE_DIR: '/theirs/traces',
      RLM_STORE_URL: 'postgres://theirs@db.example/rlm',
      RLM_UPSTREAM_BASE_URL: 'https://theirs.example/v1',
      RLM_UPSTREAM_API_KEY: 'their-key',
      RLM_HOST: '0.0.0.0',
      RLM_API_TOKEN: 'their-token',
      RLM_ALLOWED_HOSTS: 'theirs.example',
      RLM_CORS_ORIGINS: 'https://theirs.example',
      RLM_MAX_STEPS: '7',
    },
    homeDir: '/theirs/home',
  });
  return structuredClone(maskedConfig(config)) as Record<string, unknown>;
}

test('settings of a trace reach no folder, address, key or store: only what decides about prompts is taken', () => {
  const settings = farReaching();
  // Made by hand, a trace may say anything in their place, too.
  Object.assign(settings, { outputFolders: ['/etc'], localDataDir: '/etc' });
  const [provider] = settings['providers'] as Record<string, unknown>[];
  Object.assign(provider!, {
    apiKey: 'k',
    headers: { 'x-theirs': 'y' },
    route: { proxy: { uri: 'http://theirs.example:1', variable: 'https_proxy' } },
  });
  const config = recordedConfig(settings, here);
  expect(JSON.stringify(config)).not.toMatch(/theirs|\/etc|their-|https_proxy/);
  expect(config.server).toMatchObject({ host: '127.0.0.1', apiToken: 'fresh', corsOrigins: [] });
  expect(config.providers.map(({ baseURL }) => baseURL)).toEqual([
    'http://127.0.0.1:9/upstream/v1',
  ]);
  expect(config.turn).toMatchObject({ steps: 7 });
});

test.each(['../../theirs', 'a/b', '', '__proto__', 'theirs.example'])(
  'a provider of a trace that is named %j is refused',
  (id) => {
    const settings = farReaching();
    Object.assign((settings['providers'] as object[])[0]!, { id });
    expect(() => recordedConfig(settings, here)).toThrow('providers.0.id is not of this form');
  },
);
