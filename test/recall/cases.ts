/** What a stub must show of one output. */
export interface RecallCase {
  /** The output: `test/recall/outputs/<name>.txt`, printed by a real tool and only scrubbed. */
  readonly name: string;
  /** The kind it must be called. */
  readonly kind: string;
  /** Each must be met by a line of the text that the outline names by its number. */
  readonly lines?: readonly RegExp[];
  /** Each must be met by what the outline itself says. */
  readonly says?: readonly RegExp[];
}

/**
 * How the outputs came about: small projects with known faults, run under the tools that the names
 * say; sources are files of packages with free licences (fecha, mocha, rspec-core, fastify: MIT;
 * go: BSD; googletest, PHPUnit: BSD; Python: PSF; the cube extension: PostgreSQL) or our own. All
 * expectations were written before the outliner. Every second output (`putAside`) was not looked
 * at until it was done.
 */
const tests = 'test run';
const messages = 'compiler or linter messages';

export const cases: readonly RecallCase[] = [
  { name: 'apt', kind: 'package manager output', says: [/147|newly installed|upgraded/] },
  { name: 'cargo-build', kind: messages, lines: [/E0308|^error.*mismatched/, /could not compile/] },
  {
    name: 'cargo-test',
    kind: tests,
    lines: [/two_of_one_year/, /test result: FAILED. 30 passed; 2 failed/],
  },
  { name: 'code-c', kind: 'C', lines: [/xx_foo|XxoObject|newXxoObject/] },
  { name: 'code-csharp', kind: 'C#', lines: [/class Invoice\b/, /interface IInvoiceStore/] },
  { name: 'code-java', kind: 'Java', lines: [/class RateLimiter/, /Answer ask|nextChance/] },
  {
    name: 'code-php',
    kind: 'PHP',
    lines: [
      /class PhptTestCase/,
      /function (run|runTest|usesDataProvider|count|assertPhptExpectation)/,
    ],
  },
  { name: 'code-ruby', kind: 'Ruby', lines: [/module Hooks/, /class |def /] },
  { name: 'code-shell', kind: 'shell' },
  {
    name: 'code-typescript',
    kind: 'TypeScript',
    lines: [/format|parse/, /export (const|function|type)/],
  },
  {
    name: 'ctest',
    kind: tests,
    lines: [/13.*ring_of_13.*Failed/, /93% tests passed, 2 tests failed out of 30/],
  },
  { name: 'diff-git-show', kind: 'diff', says: [/\.ts.*\+\d+/] },
  { name: 'diff-u', kind: 'diff', lines: [/^(diff|---|\+\+\+) /], says: [/decoder\.py.*\+\d+/] },
  { name: 'eslint-json', kind: 'JSON', says: [/filePath/, /messages/] },
  { name: 'gcc', kind: messages, lines: [/warning|error/], says: [/bad1\.c|bad\d\.c/] },
  {
    name: 'go-build',
    kind: messages,
    lines: [/s\.serve undefined|cannot use "80"|undefined: fmt\.Printl|m2\.go|main\.go/],
  },
  { name: 'go-test', kind: tests, lines: [/FAIL: TestPush/, /FAIL: TestPop/] },
  { name: 'html', kind: 'HTML', lines: [/<title>|<h[1-3]|queue/i] },
  { name: 'javac', kind: messages, lines: [/Store\.java:7: error/, /35 errors/] },
  { name: 'json-lines', kind: 'JSON lines', says: [/reason/, /compiler-message|message/] },
  { name: 'json-rows', kind: 'JSON', says: [/150/, /people/] },
  { name: 'log-bracket', kind: 'log', lines: [/worker 3 gave up/], says: [/info|INFO/] },
  {
    name: 'log-dpkg',
    kind: 'log',
    says: [/status (half-configured|installed|unpacked|half-installed)|2\d\d/],
  },
  { name: 'log-iso', kind: 'log', lines: [/worker 3 gave up/], says: [/WARN/] },
  { name: 'log-klog', kind: 'log', lines: [/^E1126/] },
  {
    name: 'log-python',
    kind: 'log',
    lines: [/CRITICAL - 3 batches/, /KeyError|Traceback|batch 77 failed/],
  },
  { name: 'markdown', kind: 'Markdown', lines: [/^#+ .*onRequest|^#+ .*Hooks/i] },
  { name: 'mypy', kind: messages, lines: [/error:/, /Found 48 errors in 9 files/] },
  { name: 'node-test', kind: tests, lines: [/✖ takes a discount|✖ refuses/, /fail 2/] },
  { name: 'npm-eresolve', kind: 'package manager output', lines: [/ERESOLVE/] },
  { name: 'npm-ls-json', kind: 'JSON', says: [/dependencies/, /version/] },
  { name: 'paths-git-ls-files', kind: 'paths', says: [/src\/search|src\//] },
  { name: 'paths-tree', kind: 'tree', says: [/capture|search|store/] },
  { name: 'pylint', kind: messages, lines: [/rated at 4\.76/], says: [/ledger\.py|mod\d\.py/] },
  {
    name: 'pytest-short',
    kind: tests,
    lines: [/a_booking_changes_the_balance\[33\]/, /4 failed, 64 passed/],
  },
  { name: 'read-cat-n', kind: 'Python', lines: [/class Queue/] },
  { name: 'read-opencode', kind: 'TypeScript', lines: [/class Draft/] },
  { name: 'rubocop', kind: messages, lines: [/10 offenses detected/, /C:|W:|E:/] },
  { name: 'rust-panic', kind: 'stack trace', lines: [/panicked at src\/main\.rs:1:43/] },
  { name: 'search-grep', kind: 'search results', says: [/mocha\/lib/] },
  { name: 'search-rg-heading', kind: 'search results', says: [/src\/(store|search).*\d+/] },
  { name: 'table-column', kind: 'table', says: [/id.*name.*country.*people/, /150/] },
  { name: 'table-ls', kind: 'directory listing', says: [/1[56]\d|zsyscall|\.go/] },
  {
    name: 'tap',
    kind: tests,
    lines: [/not ok 13 - takes a discount|not ok 14 - refuses/, /# fail 2/],
  },
  { name: 'tsc-pretty', kind: messages, lines: [/error/, /Found \d+ errors/], says: [/file1\.ts/] },
  {
    name: 'vitest',
    kind: tests,
    lines: [/takes a discount of 10 percent/, /3 failed.*193 passed/],
  },
];

export const putAside: readonly RecallCase[] = [
  { name: 'bats', kind: tests, lines: [/not ok 3 refuses/] },
  { name: 'cargo-clippy', kind: messages, lines: [/E0425|cannot find value/, /could not compile/] },
  { name: 'cmake', kind: 'build output', lines: [/\[ *\d+%\]|Built target/] },
  {
    name: 'code-cpp',
    kind: 'C++',
    lines: [/FilePath::RemoveDirectoryName|FilePath::ConcatPaths|GetCurrentDir|FilePath::/],
  },
  { name: 'code-go', kind: 'Go', lines: [/type List struct/, /func \(l \*List\)/] },
  { name: 'code-javascript', kind: 'JavaScript', lines: [/class Suite/] },
  {
    name: 'code-python',
    kind: 'Python',
    lines: [/class TextWrapper/, /def (wrap|dedent|shorten|fill)/],
  },
  { name: 'code-rust', kind: 'Rust', lines: [/fn tokens/, /trait Scope/, /impl.*Parser/] },
  { name: 'code-sql', kind: 'SQL', lines: [/CREATE FUNCTION|CREATE TYPE|CREATE OPERATOR/] },
  { name: 'cppcheck', kind: messages, lines: [/warning|error|style/], says: [/warning/] },
  { name: 'diff-git-log-p', kind: 'git log', says: [/\.ts.*\+\d+/] },
  { name: 'diff-stat', kind: 'diff', lines: [/files? changed/] },
  {
    name: 'eslint',
    kind: messages,
    lines: [/\d+ problems \(/, /error/],
    says: [/cart\.js|cart1\.test\.js/],
  },
  { name: 'flake8', kind: messages, lines: [/E\d+|F\d+|W\d+/], says: [/mod\d\.py|ledger\.py/] },
  { name: 'git-log', kind: 'git log', lines: [/^commit /], says: [/120 commits/] },
  { name: 'go-panic', kind: 'stack trace', lines: [/^panic: runtime error/] },
  { name: 'gpp', kind: messages, lines: [/wrong\.cpp:6:151: error/, /no match for/] },
  {
    name: 'java-trace',
    kind: 'stack trace',
    lines: [/Exception in thread "main"/, /Caused by: .*(ConfigError|NumberFormat)/],
  },
  { name: 'jest', kind: tests, lines: [/✕ takes a discount|● cart/, /3 failed, 193 passed/] },
  { name: 'json-lock', kind: 'JSON', says: [/packages/, /lockfileVersion/] },
  { name: 'log-access', kind: 'log', lines: [/404/], says: [/GET/] },
  { name: 'log-clock', kind: 'log', lines: [/worker 3 gave up/], says: [/WARN/] },
  { name: 'log-go', kind: 'log', lines: [/job 121 failed/] },
  { name: 'log-java', kind: 'log', lines: [/SEVERE: order 84/, /No space left/] },
  { name: 'log-pino', kind: 'log', lines: [/worker 3 gave up/], says: [/msg/] },
  { name: 'log-ruby', kind: 'log', lines: [/refused message 103/], says: [/WARN/] },
  { name: 'mocha', kind: tests, lines: [/1\) |3 failing/, /3 failing/] },
  { name: 'node-coverage', kind: tests, lines: [/✖ takes a discount|✖ refuses/, /fail 2/] },
  {
    name: 'node-trace',
    kind: 'stack trace',
    lines: [/Error: the settings cannot be read/, /SyntaxError/],
  },
  { name: 'npm-ls', kind: 'tree', says: [/fastify|request/] },
  { name: 'paths-find', kind: 'paths', says: [/eslint\/lib\/rules/] },
  { name: 'paths-ls-r', kind: 'paths', says: [/pino\/lib/] },
  {
    name: 'phpunit',
    kind: tests,
    lines: [
      /✘ Doubling with data set "amount 44"/,
      /Tests: 62, Assertions: 61, Errors: 1, Failures: 2/,
    ],
  },
  {
    name: 'pytest',
    kind: tests,
    lines: [/a_booking_changes_the_balance\[33\]/, /4 failed, 64 passed/],
  },
  { name: 'python-traceback', kind: 'stack trace', lines: [/Traceback/, /RuntimeError: the tree/] },
  { name: 'read-numbered-go', kind: 'Go', lines: [/type Scanner struct/, /func \(s \*Scanner\)/] },
  { name: 'rspec', kind: tests, lines: [/grows to 21/, /examples, 3 failures/] },
  { name: 'ruby-trace', kind: 'stack trace', lines: [/invalid value for Integer/] },
  { name: 'search-git-grep', kind: 'search results', says: [/src\/.*\d+/] },
  { name: 'search-rg', kind: 'search results', says: [/src\/(store|tools).*\d+/] },
  { name: 'shellcheck', kind: messages, lines: [/SC2045/], says: [/deploy3?\.sh/] },
  { name: 'table-csv', kind: 'table', says: [/id.*name.*country.*people/, /150/] },
  { name: 'table-markdown', kind: 'table', says: [/id.*name.*country.*people/, /120/] },
  { name: 'tsc', kind: messages, lines: [/error TS/], says: [/file1\.ts/, /TS\d{4}/] },
  {
    name: 'unittest',
    kind: tests,
    lines: [/FAIL: test_booking_17/, /FAILED \(failures=3\)|Ran 59 tests/],
  },
  { name: 'yamllint', kind: messages, lines: [/error/], says: [/ci1\.yaml|ci\d\.yaml/] },
];
