import type { FastifyInstance } from 'fastify';
import type { HealthHandler } from './handlers.ts';

/** `GET /health`, without a token and without a call to the upstream. */
export function addHealthRoute(server: FastifyInstance, health: HealthHandler): void {
  server.get('/health', { config: { access: 'open' } }, (_request, reply) =>
    reply.header('cache-control', 'no-store').send(health.report()),
  );
}
