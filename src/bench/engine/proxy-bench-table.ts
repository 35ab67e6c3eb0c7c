import type { Compared, ProxyBench, Spread } from './proxy-bench.ts';

/** The results as a Markdown table, each beside what is wanted of it. */
export function proxyBenchTable(bench: ProxyBench): string {
  const rows = [
    ['', 'relay', 'proxy', '', 'wanted'],
    ['---', '---:', '---:', '---:', '---'],
    ...bench.firstByte.flatMap(firstByteRows),
    ...bench.cpuMs.map(({ what, relay, proxy }) => [
      `processor time of a request of ${what}`,
      ms(relay),
      ms(proxy),
      times(proxy / relay),
      '',
    ]),
    ...delayRows(bench),
    ...rateRows(bench),
    ['event loop late with 200 streams, p99', '', ms(bench.loopLag.p99Ms), '', 'at most 10 ms'],
  ];
  const lines = rows.map((cells) => `| ${cells.join(' | ')} |`);
  return `${bench.machine}\n\n${lines.join('\n')}\n`;
}

function firstByteRows(of: ProxyBench['firstByte'][number]): string[][] {
  const size = `first byte of ${of.bodyBytes / 1000} KB in messages of ${of.messageChars}`;
  const what = of.isActive ? `${size}, loop active` : size;
  const ratio = times(of.proxy.p50Ms / of.relay.p50Ms);
  const wanted = of.bodyBytes < 10_000 ? 'at most 2x' : 'at most 2.5x';
  return [
    [`${what}, p50`, ...both(of, 'p50Ms'), ratio, of.isActive ? '' : wanted],
    [`${what}, p99`, ...both(of, 'p99Ms'), '', ''],
  ];
}

function delayRows({ chunkDelay }: ProxyBench): string[][] {
  const added = (part: keyof Spread): string => {
    const difference = chunkDelay.proxy[part] - chunkDelay.relay[part];
    return `${difference < 0 ? '' : '+'}${ms(difference)}`;
  };
  return [
    ['delay of a chunk, p50', ...both(chunkDelay, 'p50Ms'), added('p50Ms'), 'at most +0.1 ms'],
    ['delay of a chunk, p99', ...both(chunkDelay, 'p99Ms'), added('p99Ms'), 'at most +0.4 ms'],
  ];
}

function both(of: Compared<Spread>, part: keyof Spread): string[] {
  return [ms(of.relay[part]), ms(of.proxy[part])];
}

function rateRows({ chunksPerSecond, requestsPerSecond }: ProxyBench): string[][] {
  const { relay, proxy, loop } = chunksPerSecond;
  const rates = (one: number): string[] => [whole(relay), whole(one), times(one / relay)];
  return [
    ['chunks per second', ...rates(proxy), 'at least 0.8x'],
    ['chunks per second, loop active', ...rates(loop), 'at least 0.6x'],
    ...requestsPerSecond.map((one) => [
      `requests per second, ${one.streams} at once`,
      whole(one.relay),
      whole(one.proxy),
      times(one.proxy / one.relay),
      // One at a time waits for the way there and back, which is twice as long.
      one.streams > 1 ? 'at least 0.5x' : '',
    ]),
  ];
}

function ms(value: number): string {
  return `${value.toFixed(3)} ms`;
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
