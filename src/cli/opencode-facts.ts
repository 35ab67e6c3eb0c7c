import type { Config } from '../config/resolve.ts';
import { ProxyError } from '../errors.ts';
import type { ProviderFacts } from '../opencode/provider-entry.ts';
import { demoModel } from '../upstream/demo-upstream.ts';

/** What OpenCode has to know, from the same settings that the server starts with. @throws ProxyError `config_invalid` */
export function opencodeFacts({ server, providers, defaultModel }: Config): ProviderFacts {
  if (server.port === 0) {
    throw new ProxyError('config_invalid', 'OpenCode needs to know a port, and RLM_PORT is 0.', {
      hint: 'Give the port that the server will listen on with --port.',
    });
  }
  const provider = providers.find(({ id }) => id === defaultModel?.providerId);
  const model = provider?.models.find(({ id }) => id === defaultModel?.modelId);
  const { contextWindowTokens, maxOutputTokens } = model ?? provider?.modelDefaults ?? demoModel;
  const host = /^(0\.0\.0\.0|::)$/.test(server.host) ? '127.0.0.1' : server.host;
  return {
    baseURL: `http://${host.includes(':') ? `[${host}]` : host}:${server.port}/v1`,
    // A token stays where it is; OpenCode takes it from the environment.
    apiKey: server.apiToken === undefined ? 'rlm-local' : '{env:RLM_API_TOKEN}',
    contextWindowTokens,
    maxOutputTokens,
  };
}
