/**
 * What is particular to one client, as data: how it is known, and what in its requests and its
 * texts has a meaning of its own. Add one: a file with its row, a line in `known-clients.ts`, a
 * request of its shape in `test/support/client-requests.ts`; `npm run docs` then shows it.
 */
export interface ClientKind {
  /** Short name: the one that commands and documents use. */
  readonly id: string;
  /** As its makers write it. */
  readonly name: string;
  /** How a request is known to be its own; what is more reliable counts first. */
  readonly known: {
    /** Its `user-agent` header. */
    readonly userAgent?: RegExp;
    /** Headers that only it sends, in lower case. */
    readonly headers?: readonly string[];
    /** Words of its system prompt that no other client has. */
    readonly prompt?: RegExp;
  };
  /** Where its configuration and its history lie, where that is a folder of its own. */
  readonly home?: ClientHome;
  /** Where it names its working directory; the first message that has one of these counts. */
  readonly directory: readonly DirectoryForm[];
  readonly conversation: ConversationNames;
  /**
   * Where it names the root of the project, if in a header: a member of its JSON, an object whose
   * one name is the path.
   */
  readonly rootHeader?: { readonly name: string; readonly member: string };
  /** How it marks an output that it has cut and saved whole in a file. */
  readonly spills: readonly SpillForm[];
  /** Marks of an output that it has cut and saved nowhere. */
  readonly cuts: readonly RegExp[];
  /**
   * What it leaves in the place of a tool output that it has pruned itself, without the space
   * around it.
   */
  readonly prunedMarkers: readonly string[];
  /**
   * Its note in a user message that the part behind it is a file's content. Group 1: the arguments
   * of the call that has read the file, JSON.
   */
  readonly attachmentLead?: RegExp;
  /**
   * Stretches that it puts into a user's message itself, and may take away later. They are no part
   * of what the user said. Global.
   */
  readonly reminders: readonly RegExp[];
  /** Its tools with which a model asks for one text and no more. */
  readonly readTools: readonly string[];
  /** Members of a call's arguments that name the file or the address it is about. */
  readonly pathArguments: readonly string[];
  /** Requests that are no turn of a chat: titles, memories, summaries. */
  readonly helpers: readonly HelperForm[];
  /**
   * Paths at which it asks, by HEAD and before any chat, whether a server is there at all. They
   * have no answer but that one is.
   */
  readonly probes?: readonly string[];
  /**
   * What becomes of reasoning in later requests: it comes back, or it does not. Lines of ours in
   * what comes back are taken out, whoever sends it.
   */
  readonly reasoning: 'comes back' | 'is dropped';
  /**
   * Whether it reads meaning into the words of an error, and repeats a request whose error sounds
   * temporary.
   */
  readonly readsErrorWords?: true;
}

/** A folder of a client: where a variable puts it, else below the user's own. */
interface ClientHome {
  /** The first that is set counts. */
  readonly variables: readonly string[];
  readonly folders: readonly string[];
}

/** One way of naming the working directory. */
interface DirectoryForm {
  /**
   * `system`: in the text of a system or developer message. `user`: in one text part of a user
   * message, from its beginning, so that what a user writes or pastes is not taken for it.
   */
  readonly stands: 'system' | 'user';
  /**
   * Group 1: the path, raw and unquoted. Group 2, where the client says it: the root of the project
   * that the directory is a part of.
   */
  readonly form: RegExp;
}

/** Where a client names its conversation. */
interface ConversationNames {
  /** Headers, in lower case; the first one that is there counts. */
  readonly headers: readonly string[];
  /** Headers in which a subagent names the conversation that started it. */
  readonly parentHeaders: readonly string[];
  /**
   * A header in which a subagent names itself beside the conversation that started it: the two
   * together are its conversation.
   */
  readonly agentHeader?: string;
  /**
   * Members of the body that name it where the headers do not: the way to a member, and through
   * JSON that stands in a text; or to what group 1 finds in a text.
   */
  readonly members: readonly (readonly (string | RegExp)[])[];
  /**
   * By what a provider may find the conversation in its cache: by the client's headers, as they
   * come, or by its name in a header that providers know. Absent: by nothing.
   */
  readonly affinity?: 'its headers' | 'x-session-id';
}

/** How a client cuts an output, and where it saves the whole text of it. */
export interface SpillForm {
  /**
   * The note, with everything around it that is not of the output. Group 1 is the file's path. It
   * stands at the text's beginning (`before` what is printed of the file) or at its end (`behind`).
   * Group 2, of a note at the end: what the tool says beside the output, which is kept.
   */
  readonly note: RegExp;
  readonly stands: 'before' | 'behind';
  /** What is printed of the file; `both`: its beginning, {@link SpillForm.gap}, its end. */
  readonly printed: 'beginning' | 'end' | 'both';
  /** What stands between the two, as it is written. */
  readonly gap?: string;
  /** The end of the note's frame, where the note stands before: no part of the output. */
  readonly closing?: RegExp;
  /** What a tool adds behind an output, at the end of a result. Kept, but not in the file. */
  readonly added?: RegExp;
  /** What may stand between the output and what a tool says of it, at the end of a result. */
  readonly separator?: string;
  /**
   * Where the file itself has no more than the last rows that a terminal keeps: so many, counted at
   * its usual width. A file that fills them has probably lost what came before.
   */
  readonly keepsRows?: { readonly rows: number; readonly columns: number };
  /** Whether a line that was cut in two has `...` in place of what is missing. */
  readonly hasDots?: true;
  /** The file's whole path, with slashes, links resolved. */
  readonly file: RegExp;
  /**
   * Where the client keeps these files for this user, below the base directory for data, the home
   * or the temporary directory: that folder may lie in a project or a repository, others may not.
   */
  readonly own: {
    readonly below: 'data' | 'home' | 'temp';
    readonly folders: readonly string[];
    /** Whether the files lie in folders in it, and not in it itself. */
    readonly isDeep?: true;
    /** Where variables of the client put that folder; the first that is set counts. */
    readonly moved?: {
      readonly variables: readonly string[];
      /** Below what the variable says. */
      readonly folders: readonly string[];
      /** A file's path in it, with slashes. */
      readonly file: RegExp;
    };
  };
}

/** How a request is known that is no turn of a chat. */
export interface HelperForm {
  readonly what: 'title' | 'memory' | 'summary';
  /**
   * Where its words stand: in the first system message, in a text of the last message, which is a
   * user's, or in a header.
   */
  readonly stands: 'system' | 'user' | { readonly header: string };
  readonly form: RegExp;
  /**
   * `untouched`: what it holds is short, and goes up byte for byte. `without tools`: it brings the
   * chat along, so its large texts are stored and it is kept within the window, but our tools are
   * not offered. `as the chat`: like the turn before it, whose beginning a provider has in its
   * cache.
   */
  readonly goes: 'untouched' | 'without tools' | 'as the chat';
}
