import { scopeOf, type SharedText } from '../text/shared-texts.ts';
import { isWhole, wholeText, type Ranges } from '../text/ranges.ts';
import type { Order, SearchTask } from './protocol.ts';

/**
 * Texts that a worker keeps: those that were asked last. Of each it is the tables, 1.3 MB for a
 * gigabyte of text, that stay in memory for it.
 */
const maxKept = 32;

/** A task on its way to a worker: where the text lies there, and the text if it is new there. */
interface SentTask extends Omit<SearchTask, 'text' | 'scope'> {
  readonly place: number;
  readonly text?: SharedText;
  readonly endBytes: number;
  /** Absent: all of it. */
  readonly ranges?: Ranges;
}

/** An order on its way to a worker. */
export type SentOrder = Sent<Order>;

type Sent<Each> = Each extends { readonly task: SearchTask }
  ? Omit<Each, 'task'> & { readonly task: SentTask }
  : Each;

/**
 * What a worker has been told of texts. To hand one over costs some 10 us on both sides: where ten
 * stores are asked, which are what they were at the last question, a tenth of the time
 * (`test/long/linked.ts`).
 */
export class ToldTexts {
  /** By text, its place; the least recently used first. */
  readonly #places = new Map<SharedText, number>();

  /** To be sent in the order of these calls. */
  pack(order: Order): SentOrder {
    if (!('task' in order)) return order;
    const { text, scope, ...rest } = order.task;
    const { endBytes, ranges } = scope;
    const some = isWhole(ranges, endBytes) ? {} : { ranges };
    return { ...order, task: { ...rest, ...this.#placeOf(text), endBytes, ...some } };
  }

  #placeOf(text: SharedText): Pick<SentTask, 'place' | 'text'> {
    const known = this.#places.get(text);
    if (known !== undefined) {
      this.#places.delete(text);
      this.#places.set(text, known);
      return { place: known };
    }
    const place = this.#freePlace();
    this.#places.set(text, place);
    return { place, text };
  }

  #freePlace(): number {
    if (this.#places.size < maxKept) return this.#places.size;
    const [oldest, place] = this.#places.entries().next().value!;
    this.#places.delete(oldest);
    return place;
  }
}

/** The other end of {@link ToldTexts}, in the worker. */
export class HeldTexts {
  readonly #texts: SharedText[] = [];

  /** An order as it was; each has to go through here, in turn. */
  unpack(sent: SentOrder): Order {
    if (!('task' in sent)) return sent;
    const {
      place,
      text: told,
      endBytes,
      ranges = wholeText(sent.task.endBytes),
      ...rest
    } = sent.task;
    if (told !== undefined) this.#texts[place] = told;
    const text = this.#texts[place]!;
    return { ...sent, task: { ...rest, text, scope: scopeOf(text, endBytes, ranges) } };
  }
}
