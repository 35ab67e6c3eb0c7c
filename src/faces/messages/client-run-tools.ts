import type { JsonObject } from '../../wire/json.ts';

const text = { type: 'string' } as const;
const line = { type: 'integer' } as const;

function parameters(properties: JsonObject, ...required: readonly string[]): JsonObject {
  return { type: 'object', properties, required };
}

/**
 * Tools that Anthropic's models have learnt, that the client runs, and that a request only names by
 * a type and its date: for other models they are described as the client's own are. (Using a
 * computer or a browser is no matter of a description: it is left out.)
 */
export const clientRunTools: readonly (readonly [RegExp, JsonObject])[] = [
  [
    /^bash_\d+$/,
    {
      description: 'Runs a command in a bash shell that keeps its state between calls.',
      parameters: parameters({
        command: { ...text, description: 'The command. Needed unless `restart` is true.' },
        restart: { type: 'boolean', description: 'Starts the shell anew.' },
      }),
    },
  ],
  [
    /^text_editor_\d+$/,
    {
      description: 'Views, creates and edits text files.',
      parameters: parameters(
        {
          command: { ...text, enum: ['view', 'create', 'str_replace', 'insert'] },
          path: { ...text, description: 'Absolute path of a file; `view` takes a directory, too.' },
          view_range: {
            type: 'array',
            items: line,
            description: 'For `view`: first and last line, from 1; -1 is the end of the file.',
          },
          file_text: { ...text, description: 'For `create`: the content.' },
          old_str: {
            ...text,
            description:
              'For `str_replace`: the text to replace; it must stand there exactly once.',
          },
          new_str: { ...text, description: 'For `str_replace`: the text in its place.' },
          insert_line: {
            ...line,
            description: 'For `insert`: the line behind which, 0 for the top.',
          },
          insert_text: { ...text, description: 'For `insert`: the text.' },
        },
        'command',
        'path',
      ),
    },
  ],
  [
    /^memory_\d+$/,
    {
      description: 'Reads and writes notes that are kept from one conversation to the next.',
      parameters: parameters(
        {
          command: {
            ...text,
            enum: ['view', 'create', 'str_replace', 'insert', 'delete', 'rename'],
          },
          path: { ...text, description: 'Below /memories; for all commands but `rename`.' },
          view_range: {
            type: 'array',
            items: line,
            description: 'For `view`: first and last line.',
          },
          file_text: { ...text, description: 'For `create`: the content.' },
          old_str: { ...text, description: 'For `str_replace`: the text to replace.' },
          new_str: { ...text, description: 'For `str_replace`: the text in its place.' },
          insert_line: { ...line, description: 'For `insert`: the line behind which.' },
          insert_text: { ...text, description: 'For `insert`: the text.' },
          old_path: { ...text, description: 'For `rename`.' },
          new_path: { ...text, description: 'For `rename`.' },
        },
        'command',
      ),
    },
  ],
];
