import type { Intake, RequestIntake } from '../capture/intake.ts';
import type { ChatCall, JsonReply, StreamReply } from '../http/handlers.ts';
import type { TurnFacts, TurnWatch, TurnWatcher } from '../turn/turn-watch.ts';
import type { CompletionHead } from '../wire/encode.ts';
import { framesOf, wholeOf } from './chat-reply.ts';
import { type ChatTarget, ChatTurn, type ChatTurnOptions } from './chat-turn.ts';
import { manyAnswers } from './many-answers.ts';

/** What answering needs. */
export interface ChatProxyOptions extends ChatTurnOptions {
  readonly intake: RequestIntake;
  /** The target of a client's model name. @throws ProxyError `unknown_model` */
  readonly resolve: (model: string, signal: AbortSignal) => Promise<ChatTarget>;
  /** Hears what turns do; absent where nobody watches. */
  readonly watcher?: TurnWatcher | undefined;
}

/** Answers chat requests: takes them in, opens a turn for each, encodes what comes. */
export class ChatProxy {
  readonly #options: ChatProxyOptions;

  constructor(options: ChatProxyOptions) {
    this.#options = options;
  }

  /** @throws ProxyError whatever is wrong before the answer begins */
  async handle(call: ChatCall): Promise<JsonReply | StreamReply> {
    const watch = this.#options.watcher?.begin(call);
    try {
      return await this.#answer(call, watch);
    } catch (error) {
      watch?.fails(error);
      throw error;
    }
  }

  async #answer(call: ChatCall, watch: TurnWatch | undefined): Promise<JsonReply | StreamReply> {
    const { clock } = this.#options;
    const startedMs = clock.elapsedMs();
    if (this.#options.secrets !== undefined) await this.#options.secrets.load();
    const intake = await this.#options.intake.take(call.body, call);
    call.noteWhose?.({
      client: intake.client,
      directory: intake.resolved.directory,
      model: intake.envelope.model,
    });
    watch?.know(factsOfIntake(intake));
    const target = await this.#options.resolve(intake.envelope.model, call.signal);
    watch?.know({ model: target.gaugeKey });
    const turn = await ChatTurn.open(this.#options, { call, intake, target, startedMs, watch });
    const count = intake.envelope['n'] ?? 1;
    if (count !== 1 && turn.tools !== undefined) throw manyAnswers();
    const chunks = count === 1 ? turn.answer() : turn.answers();
    const head: CompletionHead = {
      id: `chatcmpl-${call.requestId}`,
      created: Math.floor(clock.now() / 1000),
      model: intake.envelope.model,
    };
    if (intake.envelope.stream === true)
      return {
        kind: 'stream',
        frames: call.form?.frames(chunks, head) ?? framesOf(chunks, head, intake.envelope),
        headers: turn.answerHeaders,
        quietUntilMs: () => turn.quietUntilMs,
      };
    const body = await (call.form?.whole(chunks, head) ?? wholeOf(chunks, head, Number(count)));
    return { kind: 'json', status: 200, body, headers: turn.answerHeaders };
  }
}

/** What a request says of itself, and what came of storing it. */
function factsOfIntake({ client, resolved, envelope, newlyStored }: Intake): TurnFacts {
  return {
    client,
    directory: resolved.directory,
    session: resolved.session?.id,
    chat: resolved.chatId,
    model: envelope.model,
    storedTexts: newlyStored,
  };
}
