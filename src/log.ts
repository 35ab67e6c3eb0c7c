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
 */
export function createLogger(level: string): Logger {
  return pino(
    { level, redact: { paths: secretPaths, censor: '[redacted]' }, base: null },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** A logger that writes nothing, for tests and one-shot commands. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
