import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { raw, reply, withHead, type Reply } from './scripted-upstream.ts';

/** Members of a trace's JSON files, each in one of them. */
interface TraceJson {
  readonly version: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly settings: unknown;
  readonly reads: readonly { readonly key: string; readonly value?: unknown }[];
  readonly entries: readonly { readonly id: string; readonly text?: string }[];
  readonly answer: { readonly status: number; readonly headers: Readonly<Record<string, string>> };
  readonly upstreamRequests: number;
  readonly end: { readonly ok: boolean; readonly code?: string };
}

/** The trace of one turn, read back. */
export interface ReadTrace {
  readonly path: string;
  /** Names of its files, sorted. */
  readonly names: readonly string[];
  /** A file's bytes. */
  bytes(name: string): Promise<Buffer>;
  /** A JSON file of ours. */
  json(name: string): Promise<TraceJson>;
}

/** All traces in a directory, oldest first. */
export async function readTraces(dir: string): Promise<readonly ReadTrace[]> {
  const folders = (await readdir(dir)).filter((name) => name.includes('-req_')).toSorted();
  return Promise.all(folders.map(async (folder) => readTrace(join(dir, folder))));
}

async function readTrace(path: string): Promise<ReadTrace> {
  const bytes = async (name: string): Promise<Buffer> => readFile(join(path, name));
  return {
    path,
    names: (await readdir(path)).toSorted(),
    bytes,
    json: async (name) => JSON.parse((await bytes(name)).toString()) as TraceJson,
  };
}

/**
 * The client's request as it can be sent again: the bytes, and the headers that the proxy looks
 * at.
 */
export async function recordedRequest(trace: ReadTrace): Promise<{
  readonly path: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}> {
  const { path, headers } = await trace.json('request.json');
  // What belongs to the connection that it came on is made anew.
  const ofConnection = /^(connection|host|content-length|content-encoding|transfer-encoding)$/;
  return {
    path,
    body: (await trace.bytes('request.body')).toString(),
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !ofConnection.test(name)),
    ),
  };
}

/**
 * The upstream's side of a turn: what it was sent, and its answers as a scripted upstream gives
 * them again.
 */
export async function recordedExchanges(
  trace: ReadTrace,
): Promise<readonly { readonly sent: Buffer; readonly answer: Reply }[]> {
  const { upstreamRequests } = await trace.json('turn.json');
  return Promise.all(
    Array.from({ length: upstreamRequests }, async (_, index) => {
      const name = `upstream-${index + 1}`;
      const answer = await trace.bytes(`${name}.answer.body`);
      const { status, headers } = (await trace.json(`${name}.json`)).answer;
      const contentType = headers['content-type'] ?? '';
      return {
        sent: await trace.bytes(`${name}.request.body`),
        answer: withHead(
          { ...reply(raw(answer)), status },
          { headers: { 'content-type': contentType } },
        ),
      };
    }),
  );
}

/** Permission bits of a file or folder, as in `0o600`. */
export async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}
