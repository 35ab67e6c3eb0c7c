import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** Where Linux lists its connections, with whose each of them is. */
const tables = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

/**
 * Whose program is at the other end of a connection: the id of its user. Undefined where that is
 * not to be found out: it is on another machine, or the system is not Linux.
 */
export async function peerUser(socket: Socket): Promise<number | undefined> {
  const { remoteAddress = '', remotePort = 0, localAddress = '', localPort = 0 } = socket;
  const peer = kernelEnd(remoteAddress, remotePort);
  const own = kernelEnd(localAddress, localPort);
  if (peer === undefined || own === undefined) return undefined;
  for (const table of tables) {
    const user = userIn(await readFile(table, 'utf8').catch(() => ''), { peer, own });
    if (user !== undefined) return user;
  }
  return undefined;
}

/**
 * Finds a connection in such a table, as its other end sees it. @param ends As {@link kernelEnd}
 * writes them
 */
export function userIn(
  table: string,
  { peer, own }: { readonly peer: string; readonly own: string },
): number | undefined {
  for (const line of table.split('\n')) {
    // Number, its end, the other end, state, queues, timer, retransmissions, user, …
    const [, local = '', remote = '', , , , , user] = line.trim().split(/\s+/);
    if (withoutMapping(local) === peer && withoutMapping(remote) === own) return Number(user);
  }
  return undefined;
}

/**
 * An end of a connection inside this machine as Linux writes it: `0100007F:2240` is 127.0.0.1:8768,
 * in the order in which this processor keeps bytes (all that Node runs on: the lowest first).
 */
export function kernelEnd(address: string, port: number): string | undefined {
  const inHex = port.toString(16).toUpperCase().padStart(4, '0');
  if (address === '::1') return `00000000000000000000000001000000:${inHex}`;
  const bytes = /^(?:::ffff:)?(127)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)?.slice(1);
  const hex = bytes?.toReversed().map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return hex && `${hex.join('').toUpperCase()}:${inHex}`;
}

/** An IPv4 address that a program spells as an IPv6 one. */
function withoutMapping(end: string): string {
  return end.replace(/^0{16}FFFF0000(?=[0-9A-F]{8}:)/, '');
}
