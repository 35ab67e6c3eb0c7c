/** What sessions can say and do beside what local ones do, where machines share them. */
export interface SharedSide {
  /** How it is at this moment; nothing is asked for it. */
  readonly state: SharedState;
  /** What there is in the database, and what of it is here. */
  status(): Promise<SharedStatus>;
  /**
   * By session id, what each store is called for others and who has written to it last: of those
   * asked for, or of all that are here. Where the database is away, as far as it is known here.
   */
  projects(sessionIds?: readonly string[]): Promise<ReadonlyMap<string, SharedProject>>;
  /**
   * The stores that the database role may see and of which nothing is on this machine; none where
   * the database is away.
   */
  elsewhere(): Promise<readonly SharedElsewhere[]>;
  /**
   * Has stores of this machine become shared: adds what they hold to the stores of their projects.
   * What is there is not sent again. @throws ProxyError `store_locked` where a process holds the
   * local stores; `store_away`; `unknown_session`, `invalid_request`
   */
  push(options: PushOptions): AsyncGenerator<PushProgress, PushReport>;
  /** Lets go of replicas that are too old, or too much; returns their ids. */
  evict(): Promise<readonly string[]>;
  /**
   * Writes down what a proxy has used of a day, and reads what all others have, as they wrote it.
   * @param writer A UUID, the same after a restart
   * @throws ProxyError `store_away`
   */
  use(day: string, writer: string, used: string): Promise<readonly string[]>;
}

/** How a shared store is at this moment, as this machine sees it. */
export interface SharedState {
  /** Its address, without password. */
  readonly store: string;
  readonly isAway: boolean;
  /** Outages since the start, and the longest that anybody waited in one, milliseconds. */
  readonly outages: number;
  readonly longestWaitMs: number;
  /** What waits on this machine for the database. */
  readonly waiting: { readonly rows: number; readonly bytes: number };
}

/** What there is in the database, and what of it is here. */
export interface SharedStatus extends SharedState {
  /** Those that this database role may see; where the database is away, those that are here. */
  readonly stores: readonly SharedStore[];
}

/** A shared store. */
export interface SharedStore {
  readonly session: string;
  readonly project: string;
  /** The number of its last row; undefined where the database is away. */
  readonly rows: number | undefined;
  /** The row up to which the replica here has come; undefined where there is none. */
  readonly here: number | undefined;
  /** What the replica takes on the disk, index and all, bytes. */
  readonly hereBytes: number | undefined;
  /** Who has written to it, the last one first. */
  readonly writers: readonly SharedWriter[];
}

/** A machine that has written to a store. */
export interface SharedWriter {
  readonly machine: string;
  readonly rows: number;
  /** When it wrote last, milliseconds since 1970. */
  readonly lastMs: number;
}

/** What a shared store is for others. */
export interface SharedProject {
  readonly project: string;
  /** Who has written last; absent where nobody has, or the database is away. */
  readonly last?: Pick<SharedWriter, 'machine' | 'lastMs'>;
}

/** A shared store of which nothing is on this machine. */
export interface SharedElsewhere extends SharedProject {
  readonly session: string;
  /** The number of its last row. */
  readonly rows: number;
}

/** Which local stores are to become shared. */
export interface PushOptions {
  /** Where the local stores are; absolute. */
  readonly from: string;
  /** Session ids and directories; empty: all that have a project. */
  readonly stores: readonly string[];
  /** Only say what would be sent. */
  readonly isTrial: boolean;
}

/** How far a push is. */
export interface PushProgress {
  /** The project whose store is being sent. */
  readonly project: string;
  /** Texts that were looked at, of all. */
  readonly done: number;
  readonly total: number;
}

/** What a push has done, or would do. */
export interface PushReport {
  readonly stores: readonly PushedStore[];
}

/** A local store that was sent. */
export interface PushedStore {
  /** Its id on this machine, and that of the shared store; absent where there is none yet. */
  readonly from: string;
  readonly session?: string;
  readonly directory?: string;
  readonly project: string;
  /** Texts, calls and files that brought them again, decisions, values that chats remember. */
  readonly texts: number;
  readonly again: number;
  readonly events: number;
  readonly remembered: number;
  /** Of the texts, bytes. */
  readonly bytes: number;
  /**
   * What chats remember names entries by numbers that are other ones there, and was left out: their
   * next turn goes on with what its client sends.
   */
  readonly isRenumbered?: true;
  /** Links that lead to stores that are not shared, by their names. */
  readonly unlinked?: readonly string[];
}
