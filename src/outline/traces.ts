import type { Landmark, TextView } from './text-view.ts';

/** The line that says what went wrong, in the traces of common languages. */
const heads =
  /^(?:Traceback \(most recent call last\)|Exception in thread "|Unhandled exception|panic: |fatal error: |Caused by: |PHP Fatal error: |thread '[^']*' .*panicked at|\s*(?:Uncaught )?[\w.$]*(?:Error|Exception)(?: \[\w+\])?(?:: |$)|\s+\[cause\]: |\S+\.rb:\d+:in .*\(\w+(?:Error|Exception)?\)|SEVERE: )/;

/** A frame of a trace, behind its head. */
const frames =
  /^\s+at \S|^ {2}File "[^"]+", line \d+|^goroutine \d+|^\s+\.\.\. \d+ more|^\s+\d+: +(?:0x)?\w|^\s+from \S+:\d+:in |^#\d+ +\S|^\t\S+\.go:\d+|^stack backtrace:|^note: run with `RUST_BACKTRACE/;

/** How sure it is that a text is little but a trace, 0 to 1. */
export function traceScore(view: TextView): number {
  return view.share(frames) > 0.2 && view.find(heads, 1).length > 0 ? 0.88 : 0;
}

/** The stack traces of a text: lines that say what went wrong and have frames behind them. */
export function tracesIn(view: TextView): Landmark[] {
  const found: Landmark[] = [];
  for (const { index } of view.find(heads)) {
    if (found.length >= 8) break;
    const isPython = view.line(index).startsWith('Traceback');
    const near = [1, 2, 3, 4, 5, 6, 7].some((step) => frames.test(view.line(index + step)));
    if (!near && !/^(?:panic: |Exception in|thread ')/.test(view.line(index))) continue;
    found.push(view.landmark(index));
    if (isPython) {
      const end = pythonEnd(view, index);
      if (end !== undefined) found.push(view.landmark(end));
    }
  }
  return found;
}

/** The line under a Python trace that names the exception. */
function pythonEnd(view: TextView, start: number): number | undefined {
  for (let at = start + 1; at < Math.min(view.lines.length, start + 200); at += 1)
    if (/^[\w.]+(?:: |$)/.test(view.line(at))) return at;
  return undefined;
}
