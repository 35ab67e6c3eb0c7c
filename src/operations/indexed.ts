import { toProxyError } from '../errors.ts';
import type { SearchEngine } from '../search/types.ts';
import type { SessionStore } from '../store/types.ts';

/**
 * Indexes what was taken into a store, for the searches to come. An index is a cache: that it could
 * not be written is told and fails nothing, for the texts are stored.
 * @returns Why not, where it could not be written
 * @throws ProxyError `cancelled`
 */
export async function indexed(
  search: SearchEngine,
  store: SessionStore,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await search.index(await store.snapshot(), signal);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return toProxyError(error).message;
  }
}
