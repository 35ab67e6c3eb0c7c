import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A network between two programs of this machine, which the test can hold. */
export interface Relay extends AsyncDisposable {
  readonly port: number;
  /**
   * From now on nothing comes through, and nobody is told; what is sent waits, as in a network
   * whose cable is out. With `answers` only what the server says.
   */
  hold(what?: 'all' | 'answers'): void;
  /** From now on all connections end at once, those there are and new ones. */
  refuse(): void;
  /**
   * What has waited goes on, also that of connections which are closed meanwhile; new connections
   * are made again.
   */
  release(): void;
  /** Ends all connections; what has waited is lost. */
  cut(): void;
  /** Pieces that wait. */
  readonly waiting: number;
}

/**
 * Starts a relay to a port of this machine.
 * @param gate Awaited before each piece goes on, in either direction
 */
export async function startRelay(
  targetPort: number,
  gate?: (piece: Buffer, isAnswer: boolean) => Promise<void>,
): Promise<Relay> {
  const now: { held?: 'all' | 'answers' } = {};
  const waits = (isAnswer: boolean): boolean =>
    now.held === 'all' || (now.held === 'answers' && isAnswer);
  let released = Promise.withResolvers<void>();
  let waiting = 0;
  let isRefusing = false;
  const sockets = new Set<Socket>();
  const pump = async (from: Socket, to: Socket, isAnswer: boolean): Promise<void> => {
    try {
      for await (const piece of from as AsyncIterable<Buffer>) {
        await gate?.(piece, isAnswer);
        waiting += 1;
        while (waits(isAnswer)) await released.promise;
        waiting -= 1;
        to.write(piece);
      }
    } catch {
      // Closed by force: so is the other side.
    }
    while (now.held !== undefined) await released.promise;
    to.end();
  };
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((client) => {
    if (isRefusing) {
      client.destroy();
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    void pump(client, target, false);
    void pump(target, client, true);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    hold: (what = 'all') => {
      now.held = what;
    },
    refuse: () => {
      isRefusing = true;
      cut();
    },
    release: () => {
      isRefusing = false;
      delete now.held;
      released.resolve();
      released = Promise.withResolvers();
    },
    cut,
    get waiting() {
      return waiting;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      cut();
      delete now.held;
      released.resolve();
      await Promise.resolve();
    },
  };
}
