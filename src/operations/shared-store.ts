import { z } from 'zod';
import { ProxyError } from '../errors.ts';
import type { SharedSide } from '../store/shared-side.ts';
import type { Sessions } from '../store/types.ts';

/** Which local stores are to become shared; see `PushOptions`. */
export const pushArgs = z.strictObject({
  from: z.string().startsWith('/'),
  stores: z.array(z.string().min(1)).default([]),
  dryRun: z.boolean().default(false),
});

/** What there is in the shared store, and what of it is here; `null` where none is set. */
export async function* sharedStore(
  _: object,
  { sessions }: { readonly sessions: Sessions },
): AsyncGenerator<{ readonly result: unknown }> {
  yield { result: (await sessions.shared?.status()) ?? null };
}

/** Stores that others share with this machine and that are not here; none where none is shared. */
export async function* storesElsewhere(
  _: object,
  { sessions }: { readonly sessions: Sessions },
): AsyncGenerator<{ readonly result: unknown }> {
  yield { result: (await sessions.shared?.elsewhere()) ?? [] };
}

/** Has local stores become shared; yields how far it is. @throws ProxyError as `SharedSide.push` */
export async function* pushStores(
  { from, stores, dryRun }: z.infer<typeof pushArgs>,
  { sessions }: { readonly sessions: Sessions },
): AsyncGenerator<{ readonly progress: unknown } | { readonly result: unknown }> {
  const pushing = sharedSideOf(sessions).push({ from, stores, isTrial: dryRun });
  let step = await pushing.next();
  for (; step.done !== true; step = await pushing.next()) yield { progress: step.value };
  yield { result: step.value };
}

function sharedSideOf({ shared, fault }: Sessions): SharedSide {
  if (shared !== undefined) return shared;
  throw (
    fault ??
    new ProxyError('invalid_request', 'The server was started without a shared store.', {
      hint: 'Start it with RLM_STORE_URL set.',
    })
  );
}
