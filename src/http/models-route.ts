import type { FastifyInstance } from 'fastify';
import { ProxyError } from '../errors.ts';
import type { ModelsHandler } from './handlers.ts';
import type { LiveRequests } from './live-requests.ts';

/** `GET /v1/models` and `GET /v1/models/{id}`; ids may hold `/`, `.` and `:`, escaped or not. */
export function addModelsRoutes(
  server: FastifyInstance,
  parts: { readonly models: ModelsHandler; readonly live: LiveRequests },
): void {
  const options = { config: { access: 'clients' } } as const;
  server.get('/v1/models', options, async (_request, reply) => ({
    object: 'list',
    data: await parts.models.list(parts.live.begin(reply.raw)),
  }));
  server.get<{ Params: { '*': string } }>('/v1/models/*', options, async (request, reply) => {
    const id = request.params['*'];
    const model = await parts.models.find(id, parts.live.begin(reply.raw));
    if (model !== undefined) return model;
    throw new ProxyError('unknown_model', `There is no model \`${id}\`.`, {
      hint: 'GET /v1/models lists them.',
      param: 'model',
    });
  });
}
