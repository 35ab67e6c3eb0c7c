import { countOf } from '../base/numbers.ts';
import { type Landmark, type TextView } from './text-view.ts';

/** What package managers say on the way. */
const install =
  /^(?:(?:Get|Hit|Ign|Err):\d+ |(?:Setting up|Unpacking|Preparing to unpack|Selecting previously unselected|Processing triggers for) |npm (?:error|ERR!|warn|WARN|notice)|(?:added|removed|changed|up to date,?|audited) \d+ packages?|(?:Collecting|Downloading|Installing collected|Successfully installed|Requirement already|Using cached) |➤ YN\d|Progress: resolved|\s+(?:Compiling|Downloaded|Downloading|Updating|Locking) \S+ v?\d|go: (?:downloading|finding) |==> |\s+- (?:Installing|Locking|Downloading) \S+\/)/;
const installEnd =
  /^(?:npm (?:error|ERR!) \S|E: |ERROR: |error: |Successfully installed|(?:added|removed|changed) \d+ packages?|\d+ upgraded, \d+ newly installed|found \d+ vulnerabilit|\d+ vulnerabilities)/;

/** What makers and bundlers say on the way. */
const build =
  /^(?:\[ *\d+(?:%|\/\d+)\]|g?make(?:\[\d+\])?: |-- (?:Configuring|Generating|Build files|Detecting|Check|The \w+ compiler)|\[INFO\] |> Task :|Built target |\s*(?:CC|CXX|LD|AR) +\S+|Consolidate compiler|Dependencies file )|^(?:cd \S+ && |\/usr\/bin\/(?:cmake|cc|c\+\+|gcc|g\+\+|ar|ranlib) )/;
const buildEnd =
  /^(?:\[INFO\] BUILD|\[ERROR\]|BUILD (?:SUCCESS|FAIL)|g?make(?:\[\d+\])?: \*\*\*|FAILED: |ninja: |.*✓ built in|\[100%\] Built target)/;

/** How sure it is that a package manager printed a text, 0 to 1. */
export function installScore(view: TextView): number {
  const share = view.share(install);
  return share < 0.3 ? 0 : 0.5 + share * 0.45;
}

/** What went wrong, how it closed. */
export function installLandmarks(view: TextView): Landmark[] {
  const ends = view.find(installEnd);
  const steps = view.find(install).length;
  return [
    { text: `${countOf(view.lines.length, 'line')}, ${countOf(steps, 'step')}` },
    ...ends.slice(0, 6).map(({ index }) => view.landmark(index)),
    ...view
      .find(/^(?:W: |WARNING|npm (?:warn|WARN) (?:deprecated|ERESOLVE))/, 2)
      .map(({ index }) => view.landmark(index)),
  ];
}

/** How sure it is that a build tool printed a text, 0 to 1. */
export function buildScore(view: TextView): number {
  const share = view.share(build);
  return share < 0.35 ? 0 : 0.5 + share * 0.45;
}

/** What failed, the steps' beginnings, how it closed. */
export function buildLandmarks(view: TextView): Landmark[] {
  const ends = view.find(buildEnd);
  const errors = view.find(/\berror\b[: ]/i, 5);
  const steps = view.find(/^(?:\[ *\d+(?:%|\/\d+)\]|> Task :)/);
  const some = steps.filter((_, at) => at === 0 || at === steps.length - 1);
  const seen = new Set<number>();
  const items: Landmark[] = [{ text: countOf(steps.length, 'step') }];
  for (const { index } of [...ends.slice(-3), ...errors, ...some]) {
    if (seen.has(index)) continue;
    seen.add(index);
    items.push(view.landmark(index));
  }
  return items;
}
