/** What a failure code of a provider means to us. */
export type FaultMeaning =
  | 'overflow'
  | 'quota'
  | 'busy'
  | 'failed'
  | 'unauthorized'
  | 'forbidden'
  | 'unknown-model'
  | 'content-filter'
  | 'rejected';

/**
 * How one provider differs from OpenAI, as data. All members but the name are optional: what is
 * absent is as OpenAI has it. Adding a provider is a row in `profiles.ts` and a case in its test.
 */
export interface Profile {
  readonly name: string;
  /**
   * Chosen for these host names and their subdomains; a port may follow, as in `localhost:11434`.
   */
  readonly hosts?: readonly string[];
  /** How the key is sent. Default: as a bearer token. */
  readonly keyHeader?: 'authorization' | 'api-key';
  /** The role `developer` is unknown: say `system`. */
  readonly systemOnly?: boolean;
  /** The one name it knows for the answer's limit. Default: whichever the client uses. */
  readonly maxTokensMember?: 'max_tokens';
  /** Members of the request that it refuses, or that mean something else to it. */
  readonly droppedMembers?: readonly string[];
  /** Members of a message that it refuses. */
  readonly droppedMessageMembers?: readonly string[];
  /** Members added when tools are offered, unless the client set them. */
  readonly withTools?: Readonly<Record<string, unknown>>;
  /** `stream_options` is refused; the usage comes anyway. */
  readonly refusesStreamOptions?: boolean;
  /**
   * Which values of `tool_choice` it takes: only `auto`, or all that do not force a call. Default:
   * all.
   */
  readonly toolChoices?: 'auto' | 'unforced';
  /** All of its models take a JSON schema for the answer. Default: not all, or it is not known. */
  readonly takesJsonSchema?: true;
  /** The smallest temperature it takes; less is raised to this. */
  readonly minTemperature?: number;
  /**
   * What happens to the reasoning of earlier turns. Default `keep`. `keep-or-empty`: a turn with
   * calls that has none gets an empty one.
   */
  readonly reasoning?: 'keep' | 'keep-or-empty' | 'strip';
  /**
   * Call ids must be nine letters or digits: others are replaced by such, always the same for the
   * same id.
   */
  readonly shortCallIds?: boolean;
  /** A user message may not follow a tool message: a short assistant message is put between. */
  readonly bridgesToolToUser?: boolean;
  /**
   * Lower-case names of client headers that keep a conversation on one machine with a warm cache.
   */
  readonly affinityHeaders?: readonly string[];
  /** First wait before a repeated attempt, milliseconds; it doubles each time. Default 1000. */
  readonly retryBaseMs?: number;
  /** Its own failure codes, where status and text do not tell enough. */
  readonly codes?: Readonly<Record<string, FaultMeaning>>;
}
