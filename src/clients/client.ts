/** What is particular to one client, as data: how its requests and its texts are recognised. */
export interface Client {
  /** Finds the working directory in a system message: group 1, the path raw and unquoted. */
  readonly workingDirectory: RegExp;
  /**
   * Headers in which it names its conversation, in lower case; the first one that is there counts.
   */
  readonly chatIdHeaders: readonly string[];
  /** The header in which a subagent names the conversation that started it, in lower case. */
  readonly parentChatIdHeader: string;
  readonly spill: SpillForms;
  /**
   * What it leaves in the place of a tool output that it has pruned itself, without the space
   * around it.
   */
  readonly prunedMarkers: readonly string[];
  /**
   * Its note in a user message that the part behind it is a file's content. Group 1: the arguments
   * of the call that has read the file, JSON.
   */
  readonly attachmentLead: RegExp;
  /** Its tools with which a model asks for one text and no more. */
  readonly readTools: readonly string[];
  /**
   * Where it reads meaning into the words of an error, and repeats a request whose error sounds
   * temporary: the beginning of its `user-agent` header.
   */
  readonly wordReader?: string;
}

/** How a client cuts tool outputs, and where it saves the whole text of one. */
interface SpillForms {
  /**
   * A note with the output's end behind it, at the start of a result. Group 1 is the file's path.
   */
  readonly noteBefore: RegExp;
  /** A note with the output's beginning before it, at the end of a result. Group 1 is the path. */
  readonly noteBehind: RegExp;
  /** What a tool adds behind an output, at the end of a result. Not in the file. */
  readonly added: RegExp;
  /** The last folders of a path that the client saves outputs under. */
  readonly folders: readonly string[];
  /** The whole name of such a file. */
  readonly fileName: RegExp;
}
