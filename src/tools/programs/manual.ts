/**
 * What `help()` gives in a program: every call with what comes back, and examples that run as they
 * stand. It is asked for, so it may be long; the tool's description may not.
 */
export const manual = `Calls (all return plain values; await is not needed):
context.length                        characters of the whole context
context.read(offset, length)          string; at most 10,000,000 characters at once
context.text(entry)                   an entry's text: "e12", a path, or an entry of context.entries()
context.lines(entry, from, to)        strings; lines count from 1 in their entry
context.entries({kind, tool, path, since, until})   [{id, title, kind, tool, args, path, offset, length, line, lines, time}]; entry.text reads it
context.search(pattern, options)      {matches: [{entry, path, line, text, offset}], total, next_cursor}; options as in rlm_search
context.find(text, options)           the same for exact text
context.records(pattern, {path, tool, entry, since, case_sensitive, with})
   what the capture groups hold, of all occurrences, in order, without reading the text here:
   [["2026-05-01", "ann"], ...]; with named groups [{day: "2026-05-01", user: "ann"}, ...].
   with: "path", "entry" or "tool" adds where each one stands: [day, user, path], or under that name.
context.group(pattern, by, {sum, min, max, avg, distinct, path, tool, entry, since, case_sensitive})
   every group with its count, most frequent first: [{value, count, sum, ...}]; with several keys
   [{values: [...], count, ...}]. by: a capture group or a list of them, by number or name, and
   "path", "entry", "tool". Measures name a capture group: {sum: "ms"}. Without by: one row for all.
llm_query(prompt, text)               string
llm_query_batched([{prompt, text}, ...])   strings in order, asked in parallel; "[failed: ...]" where one failed
llm_map(items, task, {schema, maxCalls, maxTokens})
   {results, done, failed: [{index, error}], calls, bound}: the task asked about each text. The bound
   of calls and tokens is known before the first call; what is above the budget is refused whole.
   schema: {name: "string", year: "number"} or a JSON schema; results are then checked values.
context.at(moment)                     the same reading calls on what was stored then: "e42", a snapshot's name,
                                      "2026-01-31T14:30Z" or "2h": context.at("e42").search(pattern).total
context.answers("q1")                 the answers of the parts of an rlm_query with reduce
print(...), answer(value)             answer hands a long result to the user as it is

Example 1, exact counts by two keys over everything:
context.group(/user=(?<user>\\w+) .*status=(?<status>5\\d\\d)/, ['user', 'status']).slice(0, 20)

Example 2, a graph from records, and its nodes within three steps:
const next = new Map();
for (const [from, to] of context.records(/^edge (\\w+) -> (\\w+)$/)) next.set(from, [...(next.get(from) ?? []), to]);
let reached = new Set(['start']);
for (let step = 0; step < 3; step++) reached = new Set([...reached, ...[...reached].flatMap((node) => next.get(node) ?? [])]);
[...reached]

Example 3, a question about every part of some entries, with checked answers:
const parts = context.entries({ path: 'meeting' }).map((entry) => entry.text);
const { results, failed } = llm_map(parts, 'Which decisions were made?', { schema: { decisions: ['string'] } });
results.flatMap((one) => one?.decisions ?? [])`;

/** The same for a store that others are linked to; their names are those of `context.linked()`. */
export const linkedManual = `Linked stores (of other projects, read only):
context.linked()                      [{name, directory}]
context.of(name)                      the same calls over that store alone: context.of("api").entries({path: "src"})
{scope: "linked"}                     in the options of search, find, records and group: this store and all
   linked ones together, counts exact over all. Ids of other stores have their name in front: context.text("api:e7").
context.at(moment) has them, too, as they were then: context.at("2h").of("api"), context.at("2h").search(pattern, {scope: "linked"}).
   A moment that is an entry or a snapshot means its time there; what was not linked then is not read.

Example 4, counts over all projects, and in which of them each stands:
context.group(/TODO\\((?<who>\\w+)\\)/, ['who', 'entry'], {scope: 'linked'})`;
