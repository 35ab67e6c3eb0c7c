import type { Logger } from '../log.ts';
import type { Session } from '../store/types.ts';
import type { ToolRegistry } from '../tools/registry.ts';
import type { ChatRequest } from '../wire/types.ts';
import type { InjectMode } from './activation.ts';
import type { ChatTexts } from './chat-texts.ts';
import type { HandOver } from './hidden-calls.ts';
import type { Intake } from '../capture/intake.ts';
import type { ProxyResults } from './shorten-results.ts';
import type { ToollessModels } from './toolless-models.ts';
import type { TurnMemory, TurnPosition } from './turn-memory.ts';
import type { TurnRoom } from './turn-room.ts';
import type { Places } from './weave.ts';
import type { Scales } from './prompt-cost.ts';
import type { TokenGauge } from './token-gauge.ts';
import type { Room, WindowReport } from './window-guard.ts';

/** The model that answers, as far as a prompt has to know it. */
export interface PromptTarget {
  /** The upstream's own id of the model. */
  readonly model: string;
  /** For token estimates: provider and model. */
  readonly gaugeKey: string;
  readonly windowTokens?: number;
  readonly maxOutputTokens?: number;
}

/** What goes upstream for one client request. */
export interface Prompt {
  readonly request: ChatRequest;
  /** Our tools in it; absent where nothing was injected. */
  readonly own?: {
    readonly session: Session;
    readonly registry: ToolRegistry;
    readonly memory: TurnMemory;
    readonly place: TurnPosition;
    readonly ownResults: ProxyResults;
  };
  /**
   * Steps of ours that come before the one in which the client's choice of tools holds; absent
   * where it holds from the start.
   */
  readonly handOver?: HandOver;
  /**
   * How large the request may become by the turn's own steps; absent where the window is not known.
   */
  readonly room?: TurnRoom;
  /** What the window has done to it. */
  readonly window: WindowReport;
  /**
   * What the client's messages and tools would weigh upstream without us, bytes of text that cost
   * as much.
   */
  readonly clientBytes: number;
}

/** How prompts are made. */
export interface PromptOptions {
  readonly inject: InjectMode;
  readonly registry: ToolRegistry;
  readonly gauge: TokenGauge;
  /** Models that are offered no tools. */
  readonly toolless: ToollessModels;
  readonly shares: { readonly highWater: number; readonly lowWater: number };
  /** Tokens kept free for the answer where the client does not say how long it may get. */
  readonly answerTokens: number;
  readonly log: Logger;
}

/** The window as one request may use it. */
export interface Window extends Room {
  readonly room: TurnRoom;
  /** All of it. */
  readonly windowTokens: number;
  readonly windowBytes: number;
}

/** What is known of a request's chat before anything is laid out. */
export interface Chat {
  readonly session: Session | undefined;
  readonly isActive: boolean;
  /** Absent where no text could have a stub. */
  readonly texts: ChatTexts | undefined;
  readonly places: () => Places;
}

/** A prompt that is being made. */
export interface Work {
  readonly intake: Intake;
  readonly target: PromptTarget;
  readonly chat: Chat;
  /** Whether the model takes tools in such a request. */
  readonly takesTools: boolean;
  readonly scales: Scales;
  readonly window?: Window;
}
