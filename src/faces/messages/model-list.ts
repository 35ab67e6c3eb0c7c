import type { IncomingHttpHeaders } from 'node:http';
import type { JsonObject } from '../../wire/json.ts';
import type { ModelCard } from '../../http/handlers.ts';

/** Whether who asks for models speaks this protocol: all of its clients send its version. */
export function speaksMessages(headers: IncomingHttpHeaders): boolean {
  return headers['anthropic-version'] !== undefined;
}

/** A model as this protocol shows it, beside what it is elsewhere. */
export function messagesModel(card: ModelCard): JsonObject {
  return {
    ...card,
    type: 'model',
    display_name: card.id,
    created_at: new Date(card.created * 1000).toISOString(),
  };
}

/** All models at once: a client that asks for so many of them gets them all. */
export function messagesModelList(cards: readonly ModelCard[]): JsonObject {
  return {
    object: 'list',
    data: cards.map(messagesModel),
    has_more: false,
    first_id: cards[0]?.id ?? null,
    last_id: cards.at(-1)?.id ?? null,
  };
}
