import { z } from 'zod';
import { count, optionalText, texts } from './setting.ts';

/** Where the proxy listens and what it lets in. */
export const serverSettings = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').meta({
    env: 'RLM_HOST',
    flag: 'host',
    description: 'Address to listen on. Anything but loopback needs `RLM_API_TOKEN`.',
  }),
  port: z.int().min(0).max(65_535).default(8768).meta({
    env: 'RLM_PORT',
    flag: 'port',
    description: 'Port to listen on; 0 takes any free one and prints it.',
  }),
  apiToken: optionalText({
    env: 'RLM_API_TOKEN',
    flag: 'api-token',
    secret: true,
    description: 'Bearer token that clients must send. Absent: no token, loopback only.',
  }),
  allowedHosts: texts({
    env: 'RLM_ALLOWED_HOSTS',
    description:
      'Names that a `Host` header may carry beside loopback and the address listened on.',
  }),
  corsOrigins: texts({
    env: 'RLM_CORS_ORIGINS',
    description:
      'Web origins that may call, spelled exactly (`http://localhost:3000`). None by default.',
  }),
  bodyLimitBytes: count(268_435_456, 1024, {
    env: 'RLM_BODY_LIMIT_BYTES',
    unit: 'bytes',
    description: 'Largest request body. Agents resend their whole history each turn.',
  }),
  bodyIdleMs: count(30_000, 100, {
    env: 'RLM_BODY_IDLE_TIMEOUT_MS',
    unit: 'ms',
    description: 'Longest silence of a client in the middle of its request.',
  }),
  maxLiveTurns: count(512, 1, {
    env: 'RLM_MAX_LIVE_TURNS',
    description: 'Chat requests worked on at once; one more gets status 429.',
  }),
  heartbeatMs: count(10_000, 100, {
    env: 'RLM_HEARTBEAT_MS',
    unit: 'ms',
    description: 'A silent stream sends a comment after this long, so that no client gives up.',
  }),
  drainMs: count(10_000, 0, {
    env: 'RLM_DRAIN_MS',
    unit: 'ms',
    description: 'How long a stopping server lets live answers finish.',
  }),
});
