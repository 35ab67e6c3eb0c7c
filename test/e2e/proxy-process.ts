import { join } from 'node:path';
import { patienceMs } from './patience.ts';
import { Program } from './process.ts';

/** The proxy as users run it: the built program, in a process of its own. */
export interface ProxyProcess {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  /** What it has logged. */
  log(): string;
  /** As Ctrl-C or a service manager would. @returns The exit code */
  stop(): Promise<number | null>;
}

/** Starts `rlm-opencode serve` and waits until it listens. */
export async function startProxyProcess(
  packageFolder: string,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<ProxyProcess> {
  const program = new Program(
    process.execPath,
    [join(packageFolder, 'bin', 'rlm-opencode.js'), 'serve'],
    options,
  );
  const [, origin] = await program.said(/^rlm-opencode listening on (http:\/\/\S+)$/m, patienceMs);
  return {
    origin: origin as string,
    log: () => program.stderr,
    stop: async () => program.stop(),
  };
}
