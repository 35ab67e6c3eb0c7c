import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { ProxyError } from '../errors.ts';
import { linkNameFault, linksOf, maxLinks, nameForLink } from '../store/session/links.ts';
import type { Session, Sessions, StoreLink } from '../store/types.ts';
import { type LinkedStores, storesByName } from '../tools/linked/linked-stores.ts';
import { nearestNames } from '../tools/nearest.ts';

/** So many directories, or links, are named where the one that is asked for is not there. */
const maxNamed = 3;

/** A store as a command names it: a session id, or an absolute directory. */
const storeName = z.string().min(1);

/** Which store is to read which, and under what name. */
export const linkArgs = z.strictObject({
  store: storeName,
  other: storeName,
  as: z.string().optional(),
});

/** Which link is to end: by its name, or by the store that it leads to. */
export const unlinkArgs = z.strictObject({ store: storeName, other: z.string().min(1) });

/** Which store is to be shown. */
export const showArgs = z.strictObject({ store: storeName });

type Listed = Awaited<ReturnType<Sessions['list']>>;

/** A link as commands tell it. */
interface ShownLink extends StoreLink {
  /** The store is there no more. */
  readonly isGone?: true;
}

/**
 * Links a store to another one. @throws ProxyError `unknown_session`, `invalid_request` for a name
 * that cannot be used or is taken, `limit_reached`
 */
export async function linkStore(
  { sessions, clock }: { readonly sessions: Sessions; readonly clock: Clock },
  { store, other, as }: z.infer<typeof linkArgs>,
): Promise<{
  readonly session: string;
  readonly directory?: string | undefined;
  readonly link: StoreLink;
}> {
  const listed = await sessions.list();
  const [own, target] = [meant(listed, store), meant(listed, other)];
  if (own.id === target.id)
    throw new ProxyError('invalid_request', 'A store need not be linked to itself.');
  const session = await sessions.byId(own.id);
  const links = linksOf(session.events.all);
  const known = links.find(({ sessionId }) => sessionId === target.id);
  if (known !== undefined)
    throw new ProxyError('invalid_request', `${other} is linked already, as ${known.as}.`, {
      hint: 'To give it another name, unlink it first.',
    });
  if (links.length >= maxLinks)
    throw new ProxyError('limit_reached', `A store has at most ${maxLinks} links.`);
  const taken = new Set(links.map((link) => link.as));
  const name = as ?? nameForLink(target.directory, taken);
  const fault = linkNameFault(name);
  if (fault !== undefined) throw new ProxyError('invalid_request', fault);
  if (taken.has(name))
    throw new ProxyError('invalid_request', `There is a link named ${name} already.`, {
      hint: 'Choose another name with --as.',
    });
  const { directory } = target;
  const link = {
    as: name,
    sessionId: target.id,
    timeMs: clock.now(),
    ...(directory === undefined ? {} : { directory }),
  };
  await session.events.add({ type: 'link', ...link });
  return { session: own.id, directory: own.directory, link };
}

/** Ends a link. @throws ProxyError `unknown_session`, `invalid_request` where there is none */
export async function unlinkStore(
  { sessions, clock }: { readonly sessions: Sessions; readonly clock: Clock },
  { store, other }: z.infer<typeof unlinkArgs>,
): Promise<{ readonly session: string; readonly link: StoreLink }> {
  const listed = await sessions.list();
  const own = meant(listed, store);
  const session = await sessions.byId(own.id);
  const links = linksOf(session.events.all);
  const target = listed.find(({ id, directory }) => id === other || directory === other)?.id;
  // Its store may be gone: then the link still knows what it was.
  const link = links.find(
    ({ as, sessionId, directory }) =>
      as === other || sessionId === (target ?? other) || directory === other,
  );
  if (link === undefined) {
    const names = links.map(({ as }) => as);
    throw new ProxyError('invalid_request', `${store} has no link to ${other}.`, {
      hint:
        names.length === 0
          ? 'It has no links at all.'
          : `Its links are: ${nearestNames(other, names, maxLinks).join(', ')}.`,
    });
  }
  await session.events.add({ type: 'unlink', timeMs: clock.now(), as: link.as });
  return { session: own.id, link };
}

/** What a store is, which it reads, and which read it. @throws ProxyError `unknown_session` */
export async function showStore(
  sessions: Sessions,
  { store }: z.infer<typeof showArgs>,
): Promise<object> {
  const listed = await sessions.list();
  const { links = [], ...shown } = meant(listed, store);
  const linkedFrom = listed.flatMap(({ id, directory, links: others = [] }) =>
    others
      .filter(({ sessionId }) => sessionId === shown.id)
      .map(({ as, timeMs }) => ({ session: id, directory, as, timeMs })),
  );
  return { ...shown, links: shownLinks(links, listed), linkedFrom };
}

/**
 * The list of stores, with what has become of those that they are linked to, and what they are for
 * others where they are shared.
 */
export async function listStores(sessions: Sessions): Promise<readonly object[]> {
  const listed = await sessions.list();
  const projects = await sessions.shared?.projects(listed.map(({ id }) => id));
  return listed.map(({ links, ...session }) => {
    const shared = projects?.get(session.id);
    return Object.assign(
      session,
      links !== undefined && { links: shownLinks(links, listed) },
      shared && { shared },
    );
  });
}

function shownLinks(links: readonly StoreLink[], listed: Listed): readonly ShownLink[] {
  const byId = new Map(listed.map((session) => [session.id, session]));
  return links.map((link) => {
    const target = byId.get(link.sessionId);
    if (target === undefined) return Object.assign({}, link, { isGone: true as const });
    // It may have moved since.
    return Object.assign({}, link, { directory: target.directory ?? link.directory });
  });
}

/** The store that a command means. @throws ProxyError `unknown_session` */
function meant(listed: Listed, name: string): Listed[number] {
  const found =
    listed.find(({ id }) => id === name) ?? listed.find(({ directory }) => directory === name);
  if (found !== undefined) return found;
  const directories = listed.flatMap(({ directory }) => directory ?? []);
  const near = nearestNames(name, directories, maxNamed);
  throw new ProxyError('unknown_session', `There is no store of ${name}.`, {
    hint:
      near.length === 0
        ? 'Nothing is stored yet for any directory.'
        : `The nearest there are: ${near.join(', ')}. \`rlm-opencode sessions\` lists all.`,
  });
}

/**
 * Every store of the machine beside one, as if that were linked to all. Names are given in the
 * order in which the stores were made, so they stay. Without an own store the first that can be
 * read stands in its place, under its name.
 */
export async function allStores(
  sessions: Sessions,
  own: Session | undefined,
): Promise<
  | {
      readonly session: Session;
      readonly storeName?: string;
      readonly linked: LinkedStores;
    }
  | undefined
> {
  const listed = (await sessions.list()).toSorted((a, b) => a.createdMs - b.createdMs);
  const taken = new Set<string>();
  const named = listed.map(({ id, directory }) => {
    const name = nameForLink(directory, taken);
    taken.add(name);
    return { name, sessionId: id, directory };
  });
  const others = named.filter(({ sessionId }) => sessionId !== own?.id);
  const linked = storesByName(sessions, others);
  if (own !== undefined) return { session: own, linked };
  for (const { name } of others) {
    const opened = await linked.open(name);
    if (!opened.ok) continue;
    const rest = others.filter((other) => other.name !== name);
    return { session: opened.session, storeName: name, linked: storesByName(sessions, rest) };
  }
  return undefined;
}
