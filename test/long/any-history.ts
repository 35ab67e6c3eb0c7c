/**
 * Ten thousand mutated bodies: each is answered, or refused as the request's own fault.
 *
 * `node test/long/any-history.ts [count] [seed]`
 */
import { fuzzBodies } from '../support/body-fuzz.ts';

const [count = '10000', seed = '1'] = process.argv.slice(2);
const failures = await fuzzBodies({ count: Number(count), seed: Number(seed) });
for (const { status, answer, body } of failures.slice(0, 10)) {
  console.log(`${status} ${answer}\n  ${body}`);
}
console.log(`${count} bodies, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
