/** What a client must know of the proxy to use it. */
export interface ProxyFacts {
  /** `http://127.0.0.1:8768`, without a path. */
  readonly address: string;
  /** Whether the proxy wants a bearer token. */
  readonly hasToken: boolean;
  /** The upstream's real window, tokens: clients decide about compaction by it. */
  readonly contextWindowTokens: number;
  /** Its longest answer, tokens. */
  readonly maxOutputTokens: number;
}

/** The variable that holds the proxy's token, in the server's environment and in a client's. */
export const tokenVariable = 'RLM_API_TOKEN';

/** What a client that insists on a key sends to a proxy that wants none. */
export const noKey = 'rlm-local';
