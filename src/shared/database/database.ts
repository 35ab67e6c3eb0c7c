import { DatabaseError, Pool, type PoolClient, type QueryResultRow } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { ProxyError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { StoreAddress } from './address.ts';

/** Connections at once, at most. */
const maxConnections = 8;

/** A connection that does nothing is closed after so long, milliseconds. */
const idleMs = 60_000;

/** What the database answered, or did not. */
export type DatabaseFailure =
  /**
   * It cannot be reached, or does not answer, or may not write at present: try again, elsewhere.
   */
  | 'away'
  /** Another statement was in the way: try again at once. */
  | 'conflict'
  /** The row was written by an earlier attempt. */
  | 'written'
  /** Trying again would bring the same. */
  | 'refused';

/** A row of the log as it stands in the database. */
export interface StoredRow {
  readonly session: string;
  readonly pos: number;
  readonly timeMs: number;
  readonly writer: string;
  readonly n: number;
  readonly facts: Buffer;
  readonly text: Buffer | undefined;
  readonly upload: string | undefined;
}

/**
 * A database over the hosts that an address names: the first that answers and takes writes. Each
 * call is one statement and one round trip. Knows nothing of rows' insides, waits for nothing, and
 * tries nothing again (`availability.ts`).
 */
export class Database {
  readonly #address: StoreAddress;
  readonly #log: Logger;
  readonly #connectMs: number;
  #host = 0;
  #pool: Pool | undefined;
  /** Statements that were sent, for tests and `status`. */
  statements = 0;

  /** @param connectMs How long a connection may take to be made, milliseconds */
  constructor(
    address: StoreAddress,
    { log, connectMs }: { readonly log: Logger; readonly connectMs: number },
  ) {
    this.#address = address;
    this.#log = log;
    this.#connectMs = connectMs;
  }

  get shown(): string {
    return this.#address.shown;
  }

  /**
   * Runs one statement, prepared under `name` in each connection.
   * @throws what the driver throws: {@link failureOf} says what it is
   */
  async query<Row extends QueryResultRow>(
    name: string,
    text: string,
    values: readonly unknown[],
    signal: AbortSignal,
  ): Promise<readonly Row[]> {
    return this.#with(signal, async (client) => {
      this.statements += 1;
      const { rows } = await client.query<Row>({ name, text, values: [...values] });
      return rows;
    });
  }

  /**
   * Runs statements that are prepared nowhere, one after the other, in one transaction.
   * @returns The rows of the last
   */
  async run<Row extends QueryResultRow>(
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Row[]> {
    return this.#with(signal, async (client) => {
      await client.query('begin');
      try {
        let rows: readonly Row[] = [];
        for (const text of texts) ({ rows } = await client.query<Row>(text));
        await client.query('commit');
        return rows;
      } catch (error) {
        await client.query('rollback').catch(() => undefined);
        throw error;
      }
    });
  }

  /**
   * The rows of a `COPY ... TO STDOUT (FORMAT BINARY)`, their columns as they are on the wire
   * (undefined for null); in bounded memory, several times as fast as a query.
   * @param select Without anything from outside in it: it has no parameters
   * @param coming.moved Called when a part of a row has come
   */
  async *copy(
    select: string,
    { signal, moved }: { readonly signal: AbortSignal; readonly moved: () => void },
  ): AsyncGenerator<readonly (Buffer | undefined)[]> {
    let client: PoolClient | undefined;
    const end = endOf(signal, () => destroy(client));
    let isWhole = false;
    try {
      client = await this.#connect(end.told);
      signal.throwIfAborted();
      this.statements += 1;
      const stream = client.query(copyTo(`copy (${select}) to stdout (format binary)`));
      yield* copiedRows(stream, moved);
      isWhole = true;
    } catch (error) {
      throw signal.aborted ? (signal.reason as Error) : error;
    } finally {
      // What has not been read to its end would wait in the connection for whoever gets it next.
      if (!isWhole) destroy(client);
      end.forget();
      client?.release(!isWhole);
    }
  }

  /** The next of the hosts, from the next connection on. */
  useNextHost(): void {
    if (this.#address.urls.length < 2) return;
    this.#host = (this.#host + 1) % this.#address.urls.length;
    void this.#pool?.end().catch(() => undefined);
    this.#pool = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool?.end();
  }

  async #with<T>(signal: AbortSignal, work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined;
    // A server that does not answer any more never says that it has stopped.
    const end = endOf(signal, () => destroy(client));
    let isSound = false;
    try {
      client = await this.#connect(end.told);
      signal.throwIfAborted();
      const result = await Promise.race([work(client), end.told]);
      isSound = true;
      return result;
    } catch (error) {
      // An error that the server itself has told of leaves the connection as it was.
      isSound = error instanceof DatabaseError && failureOf(error) !== 'away';
      throw error;
    } finally {
      end.forget();
      client?.release(!isSound);
    }
  }

  /** @param end Rejects when nobody waits for the connection any more */
  async #connect(end: Promise<never>): Promise<PoolClient> {
    this.#pool ??= this.#openPool();
    const connecting = this.#pool.connect();
    try {
      return await Promise.race([connecting, end]);
    } catch (error) {
      // A connection that is made too late is for the next who asks.
      connecting.then(
        (client) => client.release(),
        () => undefined,
      );
      throw error;
    }
  }

  #openPool(): Pool {
    const pool = new Pool({
      connectionString: this.#address.urls[this.#host],
      max: maxConnections,
      idleTimeoutMillis: idleMs,
      connectionTimeoutMillis: this.#connectMs,
      keepAlive: true,
      allowExitOnIdle: true,
      application_name: 'rlm-opencode',
    });
    // Without this a server that ends idle connections would end the process.
    const ended = (error: Error): void => {
      this.#log.debug({ reason: error.message }, 'a connection to the shared store has ended');
    };
    pool.on('error', ended);
    // Nor may one that ends a connection in use: whoever uses it is told by the driver as well.
    pool.on('connect', (client) => client.on('error', ended));
    return pool;
  }
}

/** PostgreSQL's code for a disk of its own that is full. */
const diskFull = '53100';

/** What an error of the driver means. */
export function failureOf(error: unknown): DatabaseFailure {
  if (!(error instanceof DatabaseError)) return 'away';
  const code = error.code ?? '';
  if (code === '23505') return 'written';
  if (code === '40001' || code === '40P01') return 'conflict';
  // It reads and answers all the same: whoever waited would wait for the same each time.
  if (code === diskFull) return 'refused';
  // Connection lost; shut down, starting, too many connections; a standby.
  if (/^(?:08|57P|53)/.test(code) || code === '25006') return 'away';
  return 'refused';
}

/**
 * A refusal in words for people. @param more What helps, by PostgreSQL's codes, before what usually
 * does
 */
export function refusal(
  error: unknown,
  shown: string,
  more: Readonly<Record<string, string>> = {},
): ProxyError {
  const code = error instanceof DatabaseError ? error.code : undefined;
  const why = error instanceof Error ? error.message : String(error);
  const hints: Readonly<Record<string, string>> = {
    '42P01': 'Run `rlm-opencode store init` once, as the owner of the database.',
    '42703':
      'Run `rlm-opencode store init` as the owner of the database: its tables are of an earlier version.',
    '42501':
      'This database role may not see the project: whoever ran `store init` grants it (docs/team.md).',
    '28P01': 'Compare user and password in RLM_STORE_URL.',
    '28000': 'Compare user and password in RLM_STORE_URL.',
    [diskFull]: 'Free some room where the database has its files.',
    '3D000': 'Create the database, or compare its name in RLM_STORE_URL.',
    ...more,
  };
  return new ProxyError('store_away', `The shared store ${shown} refuses: ${why}.`, {
    cause: error,
    hint: hints[code ?? ''] ?? '`rlm-opencode doctor` looks at it.',
  });
}

/**
 * Tells when nobody waits any more, with the signal's reason, until it is to be forgotten. `stop`
 * runs first. @throws the reason where that is so already
 */
function endOf(
  signal: AbortSignal,
  stop: () => void,
): { readonly told: Promise<never>; readonly forget: () => void } {
  signal.throwIfAborted();
  const { promise: told, reject } = Promise.withResolvers<never>();
  told.catch(() => undefined);
  const end = (): void => {
    stop();
    reject(signal.reason as Error);
  };
  signal.addEventListener('abort', end, { once: true });
  return { told, forget: () => signal.removeEventListener('abort', end) };
}

function destroy(client: PoolClient | undefined): void {
  const { connection } = (client ?? {}) as {
    readonly connection?: { readonly stream?: { destroy(): void } };
  };
  connection?.stream?.destroy();
}

/** Header of a binary copy: signature, flags, length of the extension. */
const copyHeaderBytes = 19;

/** https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format" */
async function* copiedRows(
  chunks: AsyncIterable<Buffer>,
  moved: () => void,
): AsyncGenerator<readonly (Buffer | undefined)[]> {
  let rest: Buffer = Buffer.alloc(0);
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let neededBytes = copyHeaderBytes;
  let hasHeader = false;
  for await (const chunk of chunks) {
    moved();
    waiting.push(chunk);
    waitingBytes += chunk.length;
    // A row of a megabyte comes in many chunks: they are put together once.
    if (waitingBytes < neededBytes) continue;
    rest = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
    let at = 0;
    if (!hasHeader) {
      at = copyHeaderBytes;
      hasHeader = true;
    }
    for (;;) {
      const row = rowAt(rest, at);
      if (typeof row === 'number') {
        neededBytes = row - at;
        break;
      }
      if (row === undefined) return;
      yield row.columns;
      at = row.end;
    }
    waiting = [rest.subarray(at)];
    waitingBytes = rest.length - at;
    neededBytes = Math.max(neededBytes, waitingBytes + 1);
  }
}

/** The row at a place; how far there must be bytes where it is not whole; undefined at the end. */
function rowAt(
  bytes: Buffer,
  start: number,
):
  | { readonly columns: readonly (Buffer | undefined)[]; readonly end: number }
  | number
  | undefined {
  if (bytes.length < start + 2) return start + 2;
  const count = bytes.readInt16BE(start);
  if (count < 0) return undefined;
  const columns: (Buffer | undefined)[] = [];
  let at = start + 2;
  for (let column = 0; column < count; column += 1) {
    if (bytes.length < at + 4) return at + 4;
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0) {
      columns.push(undefined);
      continue;
    }
    if (bytes.length < at + length) return at + length;
    columns.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { columns, end: at };
}
