import { describe, expect, it } from 'vitest';
import { ProxyError } from '../errors.ts';
import { ToollessModels } from './toolless-models.ts';

const bare = { model: 'm' };
const json = { model: 'm', response_format: { type: 'json_object' } };

describe('a model without tools', () => {
  it.each([
    'registry.ollama.ai/library/gemma3:12b does not support tools',
    '`tools` is not supported with this model',
    'No endpoints found that support tool use. Try disabling "rlm_search".',
    '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
    'This model does not support function calling',
  ])('is known by: %s', (message) => {
    const models = new ToollessModels();
    const error = new ProxyError('upstream_rejected', message);
    expect(models.note(error, 'p.m', bare)).toBe('p.m');
    expect(models.note(error, 'p.m', bare)).toBe('');
    expect(models.has('p.m', bare)).toBe(true);
    expect(models.has('p.other', bare)).toBe(false);
  });

  it.each([
    'tool name exceeds the maximum length',
    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
    'The tool `bash` has no description',
    'temperature is not supported with this model',
  ])('is not known by: %s', (message) => {
    const models = new ToollessModels();
    expect(models.note(new ProxyError('upstream_rejected', message), 'p.m', bare)).toBeUndefined();
    expect(models.note(new ProxyError('too_busy', 'does not support tools'), 'p.m', bare)).toBe(
      undefined,
    );
  });

  it('in JSON mode only takes them elsewhere', () => {
    const models = new ToollessModels();
    const error = new ProxyError(
      'upstream_rejected',
      'json mode cannot be combined with tool/function calling',
    );
    expect(models.note(error, 'p.m', bare)).toBeUndefined();
    expect(models.note(error, 'p.m', json)).toBe('p.m with response_format');
    expect(models.has('p.m', json)).toBe(true);
    expect(models.has('p.m', bare)).toBe(false);
  });
});
