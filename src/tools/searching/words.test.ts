import { describe, expect, it } from 'vitest';
import { wordSearch } from './words.ts';

const texts = (given: string): readonly string[] | undefined =>
  wordSearch(given)?.words.map(({ text }) => text);

/** What of a text the words match. */
function found(given: string, text: string): readonly string[] {
  return text.match(new RegExp(wordSearch(given)?.pattern ?? '$^', 'gi')) ?? [];
}

describe('words of a question', () => {
  it.each([
    ['connection refused', ['connection', 'refused', 'connection refused']],
    ['"connection refused" db', ['connection refused', 'db', 'connection refused db']],
    ['where is the retryCount', ['retryCount', 'retry', 'count', 'where is the retryCount']],
    ['to be', ['to', 'be', 'to be']],
    ['(needle).', ['needle']],
  ])('%s', (given, wanted) => {
    expect(texts(given)).toEqual(wanted);
  });

  it('are none where there are only signs', () => {
    expect(wordSearch('?? --')).toBeUndefined();
  });

  it('match identifiers however they are joined, and short words only as a whole', () => {
    const text = 'parseJsonText parse_json_text PARSE-JSON-TEXT parse json text parsejsontext';
    expect(found('parseJsonText', text)).toHaveLength(5);
    expect(found('id', 'width id user_id ID validate')).toEqual(['id', '_id', 'ID']);
    expect(found('a.b(c', 'a.b(c axbxc')).toEqual(['a.b(c']);
  });
});
