import { join } from 'node:path';
import { ProxyError, toProxyError } from '../errors.ts';
import { replaceFile, type Files } from '../store/disk/files.ts';
import { parseJson } from '../wire/json.ts';
import type { LogTable } from './database/log-table.ts';
import { schemaVersion } from './database/schema.ts';
import type { Seal } from './seal.ts';

/** What the database has said of itself, for the next start without it. */
export interface KnownStore {
  readonly role: string;
  readonly keyCheck?: string;
}

/**
 * What is known of the database: asked now, else as it was told last. The hashes of forgotten texts
 * are made with one key on all machines.
 */
export async function knownStore(parts: {
  readonly table: LogTable;
  readonly files: Files;
  readonly dataDir: string;
  readonly seal: Seal;
}): Promise<KnownStore> {
  const { table, files, dataDir, seal } = parts;
  const folder = join(dataDir, 'mappings');
  const path = join(folder, 'shared-store.json');
  try {
    const meta = await table.meta();
    if (meta === undefined || meta.version < 1) {
      throw new ProxyError('store_away', 'The shared store has no tables yet.', {
        hint: 'Run `rlm-opencode store init` once, as the owner of the database.',
      });
    }
    if (meta.version > schemaVersion) {
      throw new ProxyError(
        'store_newer',
        `The shared store has tables of version ${meta.version}, this program knows version ${schemaVersion}.`,
        { hint: 'Install the newer version of rlm-opencode.' },
      );
    }
    checkKey(meta.keyCheck, seal);
    const known: KnownStore = {
      role: await table.role(),
      ...(meta.keyCheck !== undefined && { keyCheck: meta.keyCheck }),
    };
    await files.makeDirectory(folder);
    await replaceFile(files, join(folder, 'forget.key'), seal.hashKey ?? meta.hashKey);
    await replaceFile(files, path, Buffer.from(`${JSON.stringify(known)}\n`));
    return known;
  } catch (error) {
    if (toProxyError(error).code !== 'store_away') throw error;
    const bytes = await files.readWhole(path);
    if (bytes === undefined) throw error;
    const known = parseJson(bytes.toString()) as KnownStore | undefined;
    // A file that is none says as little as no file.
    if (typeof known?.role !== 'string') throw error;
    checkKey(known.keyCheck, seal);
    return known;
  }
}

/** @throws ProxyError `config_invalid` where this machine has another key than the others */
function checkKey(expected: string | undefined, { check }: Seal): void {
  if (expected === check) return;
  const what =
    expected === undefined
      ? 'The shared store was set up without a team key, and this machine has one.'
      : check === undefined
        ? 'The shared store was set up with a team key, and this machine has none.'
        : 'The shared store was set up with another team key than this machine has.';
  throw new ProxyError('config_invalid', what, {
    hint: 'Set RLM_STORE_KEY as the others have it (docs/team.md).',
  });
}
