import { sessionPaths } from '../disk/session-paths.ts';
import { toStoreFailure } from '../disk/store-failure.ts';
import {
  carryOut,
  countMade,
  dropKey,
  isForRoom,
  keysOf,
  madeByReaders,
  ordersPath,
  passagesOf,
  writeOrders,
  type ForgetEntry,
  type ForgetOrder,
  type MadeFrom,
} from '../session/forget.ts';
import {
  addForgetKeys,
  ownForgetKey,
  readForgetKeys,
  type ForgetKeys,
} from '../session/forget-keys.ts';
import type { Passages } from '../session/passages.ts';
import { pinnedIn } from '../session/pins.ts';
import type { OwnText } from '../session/session-store.ts';
import type {
  BaseRange,
  ForgetOutcome,
  ForgottenTexts,
  ForgetWanted,
  HeldElsewhere,
  MadeParts,
  TextHolder,
} from '../types.ts';
import type { SessionCatalog } from './session-catalog.ts';
import { SpaceFreer, type FreedSpace } from './space-freer.ts';

/**
 * Takes texts, or parts of them, out of every session that reads or copies the same bytes: works
 * out what is to be done in whose files, and has it done while nobody has them open.
 */
export class Forgetter {
  readonly #catalog: SessionCatalog;
  readonly #space: SpaceFreer;
  readonly #holders: readonly TextHolder[];
  #keys: ForgetKeys | undefined;

  /**
   * `pending`: sessions whose gone texts still take room; `holders`: what holds texts beside the
   * stores.
   */
  constructor(
    catalog: SessionCatalog,
    {
      pending,
      holders,
    }: { readonly pending: readonly string[]; readonly holders: readonly TextHolder[] },
  ) {
    this.#catalog = catalog;
    this.#holders = holders;
    const { files, dataDir } = catalog;
    this.#space = new SpaceFreer(
      {
        files,
        dataDir,
        ownText: async (sessionId) => this.#ownText(sessionId),
        whileClosed: async (sessionId, work) => this.#withTextClosed(sessionId, work),
      },
      pending,
    );
  }

  /** See `Sessions.forget`. */
  async forget(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    const outcome = await this.forgetWithoutFreeing(sessionId, wanted);
    if (isForRoom(wanted) && wanted.isTrial !== true) await this.#space.free();
    return outcome;
  }

  /** The same, and what goes for want of room still takes it. */
  async forgetWithoutFreeing(sessionId: string, wanted: ForgetWanted): Promise<ForgetOutcome> {
    await this.#catalog.byId(sessionId);
    return this.#catalog.alone(async () => {
      const { orders, madeTexts, passages } = await this.#ordersOf(sessionId, wanted);
      const owners = orders.map((order) => order.sessionId);
      const readers = [...new Set(orders.flatMap((order) => order.readers))];
      const { bytes } = await this.#sizeOf(sessionId, wanted);
      const pinned = pinnedIn((await this.#catalog.open.get(sessionId)).last.events.all);
      const named = [...wanted.whole, ...(wanted.parts ?? []).map(({ seq }) => seq)];
      const held = isForRoom(wanted)
        ? undefined
        : {
            sessionIds: new Set([...owners, ...readers]),
            isQuoted: await quoteFinder(passages, wanted.secretsInChats === true),
            isTrial: wanted.isTrial === true,
          };
      const sinceMs = this.#catalog.clock.now();
      const elsewhere = held === undefined ? nothingHeld : await this.#forgetElsewhere(held);
      const told = {
        owners,
        readers,
        entries: wanted.whole.length,
        masked: wanted.parts?.length ?? 0,
        calls: wanted.calls?.length ?? 0,
        bytes,
        madeTexts,
        pinned: named.filter((seq) => pinned.has(seq)).length,
        ...elsewhere,
      };
      if (wanted.isTrial === true) {
        return { ...told, ...(await this.#madeBy(orders, countMade)) };
      }
      const users = [...new Set([...owners, ...readers])];
      if (isForRoom(wanted)) await this.#space.note(owners);
      const made = await this.#catalog.open.whileClosed(users, async () => {
        await this.#space.stop();
        this.#catalog.forgettings += 1;
        await writeOrders(this.#catalog.files, this.#ordersPath, orders);
        const counts = await this.#madeBy(orders, carryOut);
        await this.#catalog.files.remove(this.#ordersPath);
        return counts;
      });
      // A turn that was on its way has perhaps written something down meanwhile.
      const late =
        held === undefined ? nothingHeld : await this.#forgetElsewhere({ ...held, sinceMs });
      for (const { sessionId: id, timeMs, why, ...order } of orders) {
        const whole = order.whole.map(({ seq }) => seq);
        const parts = order.parts.map(({ seq }) => seq);
        if (whole.length + parts.length === 0) continue;
        // Not waiting for one that is being salvaged, which waits for this.
        const owner = await this.#catalog.open.get(id);
        await owner.events.add({ type: 'forget', timeMs, why, whole, parts });
      }
      return { ...told, ...made, traces: told.traces + late.traces };
    });
  }

  /**
   * What is to be forgotten of each session, itself and those that read it or that it reads, as
   * far as they are here: each for itself (`isOwnOnly`), so that the same is done wherever.
   */
  async plan(sessionId: string, wanted: ForgetWanted): Promise<ReadonlyMap<string, ForgetWanted>> {
    await this.#catalog.byId(sessionId);
    return this.#catalog.alone(async () => {
      const { files, dataDir } = this.#catalog;
      const { orders } = await this.#ordersOf(sessionId, wanted);
      const asked = new Set((wanted.parts ?? []).map(({ seq }) => seq));
      const plan = new Map<string, ForgetWanted>();
      const made = new Map<string, MadeParts>();
      const madeIn = (id: string): MadeParts => made.get(id) ?? { parts: [], keys: [], lines: [] };
      for (const order of orders) {
        const { whole, parts, calls, secretsInChats } = order;
        const { why, mayComeAgain } = wanted;
        plan.set(order.sessionId, {
          whole: whole.map(({ seq }) => seq),
          parts: parts
            .filter(({ seq }) => asked.has(seq))
            .map(({ seq, ranges }) => ({ seq, ranges })),
          ...(calls && { calls }),
          ...(secretsInChats && { secretsInChats }),
          why,
          mayComeAgain,
          isOwnOnly: true,
        });
        const quotes = parts.filter(({ seq }) => !asked.has(seq));
        made.set(order.sessionId, { ...madeIn(order.sessionId), parts: quotes });
      }
      for (const order of isForRoom(wanted) ? [] : orders) {
        const paths = sessionPaths(dataDir, order.sessionId);
        for (const [id, { keys, lines }] of await madeByReaders(files, paths, order)) {
          const known = madeIn(id);
          made.set(id, {
            ...known,
            keys: [...new Set([...known.keys, ...keys])],
            lines: [...new Set([...known.lines, ...lines])],
          });
        }
      }
      const { why, mayComeAgain } = wanted;
      for (const [id, each] of made) {
        if (each.parts.length + each.keys.length + each.lines.length === 0) continue;
        const known = plan.get(id) ?? { whole: [], why, mayComeAgain, isOwnOnly: true };
        plan.set(id, { ...known, made: each });
      }
      return plan;
    });
  }

  async #forgetElsewhere(texts: ForgottenTexts): Promise<Required<HeldElsewhere>> {
    const sum = { ...nothingHeld };
    for (const holder of this.#holders) {
      const { traces = 0, programs = 0 } = await holder.forget(texts);
      sum.traces += traces;
      sum.programs += programs;
    }
    return sum;
  }

  /** See `Sessions.allowAgain`. */
  async allowAgain(sessionId: string, seq: number): Promise<boolean> {
    await this.#catalog.byId(sessionId);
    return this.#catalog.alone(async () => {
      const handle = await this.#catalog.open.get(sessionId);
      const { ranges, entries } = handle.last.store;
      const gone = entries[seq - 1]?.forgotten ?? entries[seq - 1]?.masked;
      if (gone?.key === undefined) return false;
      const relations = await this.#catalog.relations();
      for (const ownerId of relations.ownersOf(ranges, seq)) {
        const users = [ownerId, ...relations.readersOf(ownerId)];
        const paths = sessionPaths(this.#catalog.dataDir, ownerId);
        await this.#catalog.open.whileClosed(users, () =>
          dropKey(this.#catalog.files, paths, ownerId, seq),
        );
      }
      return true;
    });
  }

  /** Gives the room back that forgotten texts still take. @throws the file system's errors */
  async free(): Promise<FreedSpace> {
    return this.#space.free();
  }

  /** Whether forgotten texts still take room. */
  get hasToFree(): boolean {
    return this.#space.isPending;
  }

  /** A session is closed and is going to be deleted: nothing of it may be left in a copy. */
  async deleting(): Promise<void> {
    await this.#space.stop();
  }

  /** The keys of the hashes by which forgotten texts are known: the own one, if any, first. */
  async hashKeys(): Promise<readonly Buffer[]> {
    const { files, dataDir } = this.#catalog;
    this.#keys ??= await readForgetKeys(files, dataDir);
    const { own, others } = this.#keys;
    return own === undefined ? others : [own, ...others];
  }

  /** Takes over the keys of an archive whose stores are about to come. */
  async takeKeys(keys: readonly Buffer[]): Promise<void> {
    const { files, dataDir } = this.#catalog;
    await addForgetKeys(files, dataDir, keys);
    this.#keys = undefined;
  }

  async #ownKey(): Promise<Buffer> {
    const { files, dataDir } = this.#catalog;
    const own = await ownForgetKey(files, dataDir);
    this.#keys = undefined;
    return own;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#space[Symbol.asyncDispose]();
  }

  /** What is known of a session's own text; undefined where there is no such session any more. */
  async #ownText(sessionId: string): Promise<OwnText | undefined> {
    if (!(await this.#catalog.hasFiles(sessionId))) return undefined;
    const handle = await this.#catalog.open.get(sessionId);
    return handle.use(({ store }) => store.ownText);
  }

  /** Runs `work` while nobody has a session's text open: itself, and who reads it. */
  async #withTextClosed(sessionId: string, work: () => Promise<void>): Promise<void> {
    await this.#catalog.alone(async () => {
      const readers = (await this.#catalog.relations()).readersOf(sessionId);
      await this.#catalog.open.whileClosed([sessionId, ...readers], work);
    });
  }

  get #ordersPath(): string {
    return ordersPath(this.#catalog.dataDir);
  }

  async #madeBy(orders: readonly ForgetOrder[], work: typeof carryOut): Promise<MadeFrom> {
    const sum = { chatRecords: 0, quotes: 0 };
    for (const order of orders) {
      const paths = sessionPaths(this.#catalog.dataDir, order.sessionId);
      try {
        const { chatRecords, quotes } = await work(this.#catalog.files, paths, order);
        sum.chatRecords += chatRecords;
        sum.quotes += quotes;
      } catch (error) {
        throw toStoreFailure(error, paths.text);
      }
    }
    return sum;
  }

  /** What is to be done in which session's files, so that the bytes are gone from all. */
  async #ordersOf(
    sessionId: string,
    wanted: ForgetWanted,
  ): Promise<{
    readonly orders: readonly ForgetOrder[];
    readonly madeTexts: number;
    /** By what quotes of the texts are known. */
    readonly passages: readonly Passages[];
  }> {
    const handle = await this.#catalog.open.get(sessionId);
    const { ranges, keys } = await handle.use(async ({ store }) => {
      const secret = wanted.mayComeAgain ? undefined : await this.#ownKey();
      return { ranges: store.ranges, keys: keysOf(store.entries, secret) };
    });
    const relations = await this.#catalog.relations();
    const orders = new Map<string, ForgetOrder>();
    const { timeMs = this.#catalog.clock.now() } = wanted;
    const orderFor = (ownerId: string): ForgetOrder => {
      const known = orders.get(ownerId);
      if (known !== undefined) return known;
      const readers = relations.readersOf(ownerId);
      const own = wanted.isOwnOnly === true ? { isOwnOnly: true as const } : {};
      const { why } = wanted;
      const order = { sessionId: ownerId, readers, whole: [], parts: [], timeMs, why, ...own };
      orders.set(ownerId, order);
      return order;
    };
    const ownersOf = (seq: number): readonly string[] => {
      const owners = relations.ownersOf(ranges, seq);
      return wanted.isOwnOnly === true ? owners.filter((id) => id === sessionId) : owners;
    };
    for (const seq of [...wanted.whole].sort((a, b) => a - b)) {
      for (const ownerId of ownersOf(seq)) {
        (orderFor(ownerId).whole as ForgetEntry[]).push({ seq, ...keys(seq) });
      }
    }
    for (const part of wanted.parts ?? []) {
      for (const ownerId of ownersOf(part.seq)) {
        (orderFor(ownerId).parts as ForgetOrder['parts'][number][]).push({
          ...part,
          ...keys(part.seq),
        });
      }
    }
    for (const seq of wanted.calls ?? []) {
      for (const ownerId of ownersOf(seq)) {
        const order = orderFor(ownerId);
        orders.set(ownerId, { ...order, calls: [...(order.calls ?? []), seq] });
      }
    }
    if (wanted.secretsInChats === true)
      orders.set(sessionId, { ...orderFor(sessionId), secretsInChats: true });
    if (wanted.made !== undefined) {
      const { keys: chatKeys, lines, parts } = wanted.made;
      const order = orderFor(sessionId);
      const made = { keys: chatKeys, lines };
      orders.set(sessionId, { ...order, parts: [...order.parts, ...parts], made });
    }
    let madeTexts = 0;
    const known: Passages[] = [];
    // What goes for want of room is no secret.
    const asked = isForRoom(wanted) ? [] : [...orders.values()];
    for (const order of asked) {
      const paths = sessionPaths(this.#catalog.dataDir, order.sessionId);
      const passages = await passagesOf(this.#catalog.files, paths, order);
      if (passages.isEmpty) continue;
      known.push(passages);
      const makers = order.isOwnOnly === true ? [] : order.readers;
      for (const userId of [order.sessionId, ...makers]) {
        for (const part of await this.#quotesIn(userId, passages)) {
          const ownerIds = relations.ownersOf(part.ranges, part.seq);
          if (ownerIds.some((id) => isOrdered(orders.get(id), part.seq))) continue;
          madeTexts += 1;
          for (const ownerId of ownerIds) {
            const { seq, lines } = part;
            (orderFor(ownerId).parts as ForgetOrder['parts'][number][]).push({
              seq,
              ranges: lines,
            });
          }
        }
      }
    }
    return { orders: [...orders.values()], madeTexts, passages: known };
  }

  /**
   * Lines of texts of our own making (transcripts, answers) that quote what is to go, in the
   * session's own file: those of its bases are looked at as theirs.
   */
  async #quotesIn(
    sessionId: string,
    passages: Passages,
  ): Promise<
    readonly {
      readonly seq: number;
      readonly ranges: readonly BaseRange[];
      readonly lines: readonly (readonly [number, number])[];
    }[]
  > {
    // Also one that is being salvaged: that waits for this.
    const handle = await this.#catalog.open.get(sessionId);
    return handle.use(async ({ store }) => {
      const found = [];
      for (const entry of store.entries.slice(store.bases.at(-1)?.end.entries ?? 0)) {
        if (entry.kind !== 'message' || entry.forgotten !== undefined) continue;
        const lines = passages.linesIn(await store.readEntry(entry));
        if (lines.length > 0) found.push({ seq: entry.seq, ranges: store.ranges, lines });
      }
      return found;
    });
  }

  async #sizeOf(sessionId: string, wanted: ForgetWanted): Promise<{ readonly bytes: number }> {
    const { entries } = (await this.#catalog.open.get(sessionId)).last.store;
    let bytes = 0;
    for (const seq of wanted.whole) bytes += entries[seq - 1]?.lengthBytes ?? 0;
    for (const { ranges } of wanted.parts ?? []) {
      for (const [start, end] of ranges) bytes += end - start;
    }
    return { bytes };
  }
}

/** Tells whether a text quotes others or, where secrets are looked for, holds one. */
async function quoteFinder(
  passages: readonly Passages[],
  isForSecrets: boolean,
): Promise<(text: string) => boolean> {
  const isQuote = (text: string): boolean => passages.some((each) => each.isInText(text));
  if (!isForSecrets) return isQuote;
  const { findSecrets } = await import('../../secrets/find-secrets.ts');
  return (text) => isQuote(text) || findSecrets(text).length > 0;
}

const nothingHeld = { traces: 0, programs: 0 };

/** Whether a text, or parts of it, are to go already. */
function isOrdered(order: ForgetOrder | undefined, seq: number): boolean {
  return order !== undefined && [...order.whole, ...order.parts].some((each) => each.seq === seq);
}
