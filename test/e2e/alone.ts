import { spawn, spawnSync } from 'node:child_process';

/**
 * Ways into a network namespace of one's own: as root, then as anybody where the kernel allows it.
 */
const ways = [
  ['unshare', '--net'],
  ['unshare', '--map-root-user', '--net'],
] as const;

/** Exit code of a program that was interrupted, by the shells' convention for SIGINT. */
export const interruptedCode = 130;

const upAndOn = 'ip link set lo up && exec "$@"';

/**
 * Runs a program with nothing but the loopback interface, or says that it cannot and runs it as it
 * is. @returns Its exit code
 */
export async function runAlone(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const way = ways.find(
    ([unshare, ...flags]) =>
      spawnSync(unshare, [...flags, 'sh', '-c', upAndOn, 'sh', 'true']).status === 0,
  );
  if (way === undefined)
    process.stdout.write('# no network namespace to be had here: with the network\n');
  const [program, ...rest] =
    way === undefined ? [command, ...args] : [...way, 'sh', '-c', upAndOn, 'sh', command, ...args];
  const child = spawn(program, rest, { env, stdio: 'inherit' });
  const hand = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGTERM', hand).on('SIGINT', hand);
  try {
    return await new Promise((resolve, reject) => {
      child.once('exit', (code) => resolve(code ?? interruptedCode));
      child.once('error', reject);
    });
  } finally {
    process.off('SIGTERM', hand).off('SIGINT', hand);
  }
}
