import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Paths that may hold a secret, whatever object is logged. */
const secretPaths = [
  'apiKey',
  'api_key',
  'authorization',
  'headers.authorization',
  'headers.cookie',
  'headers["x-api-key"]',
  '*.apiKey',
  '*.api_key',
  '*.authorization',
];

/**
 * The program's logger: JSON lines on stderr, so that stdout belongs to the commands. Bodies and
 * prompts are never passed to it.
 * @param write Takes the lines instead, each with its line feed
 */
export function createLogger(level: string, write?: (line: string) => void): Logger {
  return pino(
    { level, redact: { paths: secretPaths, censor: '[redacted]' }, base: null },
    write === undefined ? pino.destination({ fd: 2, sync: true }) : { write },
  );
}

/** A logger that writes nothing, for tests and one-shot commands. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
