import { realFiles, type Files, type OpenFile } from '../../src/store/disk/files.ts';

/** A file system call that changes something. */
export interface WriteCall {
  readonly name:
    | 'open'
    | 'write'
    | 'datasync'
    | 'truncate'
    | 'create'
    | 'makeDirectory'
    | 'rename'
    | 'sync';
  readonly path: string;
}

/** What a call shall do: go on, fail with a system error, or write only a part first. */
export type Fault =
  | { readonly kind: 'none' }
  | { readonly kind: 'error'; readonly code: string }
  | { readonly kind: 'short-write'; readonly code?: string };

/**
 * The file system as it is now, except that `decide` may make any writing call fail. Every call is kept in
 * `calls`.
 */
export function faultyFiles(decide: (call: WriteCall, index: number) => Fault): {
  readonly files: Files;
  readonly calls: WriteCall[];
} {
  const calls: WriteCall[] = [];
  // `realFiles` itself may be made to fail, in a test of commands.
  const real = { ...realFiles };
  const check = (name: WriteCall['name'], path: string): Fault => {
    const call = { name, path };
    calls.push(call);
    const fault = decide(call, calls.length - 1);
    if (fault.kind === 'error') throw systemError(fault.code, call);
    return fault;
  };
  const files: Files = {
    ...real,
    open: async (path, options) => {
      if (options.create) check('open', path);
      return faultyFile(path, await real.open(path, options), check);
    },
    createExclusive: async (path, bytes) => {
      check('create', path);
      return real.createExclusive(path, bytes);
    },
    makeDirectory: async (path) => {
      check('makeDirectory', path);
      await real.makeDirectory(path);
    },
    rename: async (from, to) => {
      check('rename', to);
      await real.rename(from, to);
    },
    syncDirectory: async (path) => {
      check('sync', path);
      await Promise.resolve();
    },
  };
  return { files, calls };
}

function faultyFile(
  path: string,
  file: OpenFile,
  check: (name: WriteCall['name'], path: string) => Fault,
): OpenFile {
  return {
    ...file,
    write: async (bytes, positionBytes) => {
      const fault = check('write', path);
      if (fault.kind !== 'short-write') return file.write(bytes, positionBytes);
      const half = bytes.subarray(0, Math.max(1, bytes.length >> 1));
      const count = await file.write(half, positionBytes);
      if (fault.code !== undefined) throw systemError(fault.code, { name: 'write', path });
      return count;
    },
    // Without the sync itself: no test cuts the power, and the tests make thousands of them.
    datasync: async () => {
      check('datasync', path);
      await Promise.resolve();
    },
    truncate: async (sizeBytes) => {
      check('truncate', path);
      await file.truncate(sizeBytes);
    },
  };
}

function systemError(code: string, call: WriteCall): Error {
  return Object.assign(new Error(`${code}: ${call.name} ${call.path}`), {
    code,
    syscall: call.name,
    path: call.path,
  });
}
