import { countOf } from '../base/numbers.ts';
import { clip, type Landmark, type TextView } from './text-view.ts';

/** The closing line of a test runner, by runner. */
const summary = new RegExp(
  [
    /^Tests:\s+(?:\d+ \w+, )*\d+ total/, // jest
    /^\s+Tests\s+\d+ (?:failed|passed|skipped|todo)\b/, // vitest
    /^\s+\d+ (?:passing|failing|pending)\b/, // mocha
    /^(?:=+ )?(?:\d+ (?:failed|passed|skipped|errors?|warnings?|xfailed|xpassed|deselected)(?:, )?)+ in [\d.]+s/,
    /^Ran \d+ tests? in [\d.]+s|^FAILED \((?:failures|errors)=/, // unittest
    /^(?:ok|FAIL)\s+\S+\s+(?:[\d.]+s\b|\(cached\)|\[build failed\])/, // go
    /^test result: (?:ok|FAILED)\./, // cargo
    /^\d+ examples?, \d+ failures?|^\d+ runs, \d+ assertions|^\d+ tests?, \d+ failures?/,
    /^OK \(\d+ tests?|^Tests: \d+, Assertions: \d+/, // phpunit
    /^(?:# |ℹ )(?:tests|pass|fail) \d+/, // node, tape
    /^1\.\.\d+\s*$/, // TAP
    /^\d+% tests passed, \d+ tests? failed/, // ctest
    /^(?:\[\w+\] )?Tests run: \d+, Failures: \d+/, // maven
    /^(?:Passed|Failed)!\s+- Failed:/, // dotnet
    /^\s*\d+ (?:passed|failed|flaky) \([\d.]+m?s\)/, // playwright
    /^(?:ok|FAILED) \| \d+ passed/, // deno
    /^\s*\d+ tests? (?:passed|failed)\b/, // ava
  ]
    .map(({ source }) => `(?:${source})`)
    .join('|'),
);

/**
 * How runners print a test that failed, the fullest form first: where one form is there, the others
 * repeat the same tests.
 */
const failures: readonly RegExp[] = [
  /^\s*● (.+ › .+)/, // jest
  /^_{3,} (\S.*?) _{3,}$/, // pytest
  /^---- (\S+) stdout ----$/, // cargo
  /^\s*FAIL +(\S+ > .+)/, // vitest
  /^(?:FAILED|ERROR) (\S+::\S.*)/, // pytest, at the end
  /^(?:FAIL|ERROR): (.+)/, // unittest
  /^\s*--- FAIL: (\S+)/, // go
  /^test (\S+) \.\.\. FAILED/, // cargo
  /^\s*(\S.*) \(FAILED - \d+\)/, // rspec
  /^\s*\d+ - (\S+) \((?:Failed|SEGFAULT|Timeout|Not Run|[^)]*Exception|Subprocess[^)]*)\)/, // ctest
  /^\s*not ok \d+ -? ?(.+)/, // TAP
  /^\s*\d+\) (\S.*)/, // mocha, phpunit, exunit
  /^\s*[✕✘✗✖×] (?!failing tests:)(.+)/, // node, phpunit, ava
  /^\[ERROR\]\s+(\S+:\d+.*)/, // maven
  /^\s*Failed (\S+) \[/, // dotnet
  /^(\S+::\S.*) (?:FAILED|ERROR)\b/, // pytest
  /^(?:\* )?FAIL\s+(\S.*)/,
];

/** Says why, some lines under the name of a test. */
const reason =
  /^\s*(?:E {2,}\S|(?:\w*Error|\w*Exception)\b.*: |Expected\b|expected\b|assertion .*failed|Failure\/Error: |Failed asserting|error: '|panicked at|\S+\.go:\d+: )/;

/** Lines behind a failure's name in which its reason is looked for. */
const reasonLines = 16;
const maxFailures = 6;

/** How sure it is that a text comes from a test runner, 0 to 1. */
export function testRunScore(view: TextView): number {
  if (view.find(summary, 1).length > 0) return 0.93;
  const results = view.share(
    /^\s*(?:[✓✔✕✖√×] |(?:not )?ok \d+|(?:=== RUN|--- (?:PASS|FAIL)))|\b(?:PASSED|FAILED)\b/,
  );
  return results > 0.3 ? 0.7 : 0;
}

/** What failed, why, and how the run closed. */
export function testRunLandmarks(view: TextView): Landmark[] {
  const form = failures.map((pattern) => view.find(pattern)).find((all) => all.length > 0) ?? [];
  const byName = new Map<string, number>();
  for (const { index, found } of form) {
    const name = (found[1] ?? '').replace(/ +(?:\([\d.]+ ?m?s\)|[\d.]+ ?m?s|- .*|\[ *\d+%\])$/, '');
    if (!byName.has(name)) byName.set(name, index);
  }
  const shown = [...byName].slice(0, maxFailures);
  const items: Landmark[] = summaries(view);
  for (const [, index] of shown) items.push(view.landmark(index, withReason(view, index)));
  const left = byName.size - shown.length;
  if (left > 0) items.push({ text: `and ${countOf(left, 'more failing test')}` });
  return items;
}

function summaries(view: TextView): Landmark[] {
  const all = view.find(summary).filter(({ found }) => !/^1\.\.\d/.test(found[0]));
  // Of a line per package those that failed; of several closing lines the last.
  const failed = all.filter(({ found }) =>
    /FAIL|[1-9]\d* (?:failed|failing|failures?|errors?)|(?:# |ℹ )fail [1-9]|Failures: [1-9]|failures=/.test(
      found.input,
    ),
  );
  const chosen = failed.length > 0 ? failed.slice(-2) : all.slice(-2);
  return chosen.map(({ index }) => view.landmark(index));
}

function withReason(view: TextView, index: number): string {
  const name = clip(
    view
      .line(index)
      .trim()
      .replaceAll(/^[_=-]{3,} | [_=-]{3,}$/g, ''),
    90,
  );
  for (let at = index + 1; at <= index + reasonLines; at += 1) {
    const line = view.line(at);
    if (reason.test(line)) return `${name} — ${line.trim().replace(/^E +/, '')}`;
  }
  return name;
}
