import { writeFileSync } from 'node:fs';

/**
 * Loaded before a server (`node --import`): how long its event loop was busy at once, in processor
 * time of the main thread, so that a busy machine makes it no longer. Written as a list, the longest
 * first, microseconds, into the file that SLICES_PATH names, when the process ends. SIGUSR2 forgets
 * what was seen before: that a server loads itself.
 */
const everyMs = 2;
const kept = 50;
const slicesUs: number[] = [];
let last = process.threadCpuUsage();

setInterval(() => {
  const now = process.threadCpuUsage();
  const us = now.user + now.system - last.user - last.system;
  last = now;
  if (slicesUs.length === kept && us <= (slicesUs.at(-1) ?? 0)) return;
  slicesUs.push(us);
  slicesUs.sort((a, b) => b - a);
  slicesUs.length = Math.min(slicesUs.length, kept);
}, everyMs).unref();

process.on('SIGUSR2', () => {
  slicesUs.length = 0;
});

process.on('exit', () => {
  const path = process.env['SLICES_PATH'];
  if (path !== undefined) writeFileSync(path, JSON.stringify(slicesUs));
});
