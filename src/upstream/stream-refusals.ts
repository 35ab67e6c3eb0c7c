import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Profile } from './profile.ts';
import type { StreamMember } from './rewrite.ts';

/** Models whose refusals are remembered. */
const maxRemembered = 1_000;

const none: ReadonlySet<StreamMember> = new Set();

/**
 * What a provider's models refuse about streaming, found out by asking: each is refused once, and
 * not sent again.
 */
export class StreamRefusals {
  readonly #of: { readonly id: string; readonly profile: Profile; readonly log: Logger };
  readonly #byModel = new Map<string, ReadonlySet<StreamMember>>();

  /** @param of The provider, for its log */
  constructor(of: { readonly id: string; readonly profile: Profile; readonly log: Logger }) {
    this.#of = of;
  }

  /** What is not to be sent to a model. */
  of(model: string): ReadonlySet<StreamMember> {
    return this.#byModel.get(model) ?? none;
  }

  /**
   * Whether an error refuses a member about streaming that was sent: then asking again without it
   * may help.
   */
  learn(model: string, error: unknown): boolean {
    const { id, profile, log } = this.#of;
    const member = refusedMember(error);
    const known = this.of(model);
    if (member === undefined || known.has(member)) return false;
    if (member === 'stream_options' && profile.refusesStreamOptions === true) return false;
    if (this.#byModel.size >= maxRemembered) this.#byModel.clear();
    this.#byModel.set(model, new Set([...known, member]));
    log.info(
      { upstream: id, model, member },
      member === 'stream'
        ? 'the model refuses to stream: its answers are asked for whole from now on'
        : 'left out of requests from now on: the model refuses it',
    );
    return true;
  }
}

/**
 * OpenAI's words for organisations that are not verified, and other servers' for models that
 * cannot.
 */
const streamRefusal =
  /verified to stream|stream(?:ing)?['"` ]{0,2} (?:is|are) not (?:supported|allowed|available)|not support (?:['"`]?stream|streaming)/i;

/**
 * The member about streaming that a refusal is about, if it is one: by its name, or by the words.
 */
function refusedMember(error: unknown): StreamMember | undefined {
  if (!(error instanceof ProxyError) || error.code !== 'upstream_rejected') return undefined;
  const { message, parts } = error;
  const { param = '' } = parts;
  if (param.startsWith('stream_options') || /stream_options|include_usage/.test(message)) {
    return 'stream_options';
  }
  return param === 'stream' || streamRefusal.test(message) ? 'stream' : undefined;
}
