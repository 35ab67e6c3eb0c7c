import { type ParseError, parse } from 'jsonc-parser';
import { jsonFaultText } from '../base/json-faults.ts';
import { ProxyError } from '../errors.ts';
import { isObject } from '../wire/json.ts';

/**
 * What a settings file says, not compared with the schema yet. @throws ProxyError `config_invalid`
 * for what is not a JSON object
 */
export function parseSettingsFile(file: {
  readonly path: string;
  readonly text: string;
}): Record<string, unknown> {
  const errors: ParseError[] = [];
  const text = file.text.replace(/^\uFEFF/, '');
  const value: unknown = parse(text, errors, {
    allowTrailingComma: true,
    disallowComments: false,
    allowEmptyContent: true,
  });
  const first = errors[0];
  if (first !== undefined) {
    const before = text.slice(0, first.offset).split('\n');
    const place = `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
    throw new ProxyError(
      'config_invalid',
      `${file.path}:${place}: not valid JSON with comments: ${jsonFaultText(first.error)}.`,
      {
        hint: `Mend it at line ${place.replace(':', ', column ')}, or begin anew: move it away and run \`rlm-opencode init\`.`,
      },
    );
  }
  // A file with nothing in it, or with comments alone, says nothing.
  if (value === undefined) return {};
  if (!isObject(value)) {
    throw new ProxyError('config_invalid', `${file.path}: the file must hold one JSON object.`);
  }
  return value;
}
