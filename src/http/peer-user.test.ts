import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { kernelEnd, peerUser, userIn } from './peer-user.ts';

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const rest = '00000000:00000000 00:00000000 00000000';

test('an end of a connection is written as Linux does', () => {
  expect(kernelEnd('127.0.0.1', 8_768)).toBe('0100007F:2240');
  expect(kernelEnd('::ffff:127.0.1.2', 80)).toBe('0201007F:0050');
  expect(kernelEnd('::1', 65_535)).toBe('00000000000000000000000001000000:FFFF');
  for (const elsewhere of ['192.168.1.2', '::ffff:10.0.0.1', 'fe80::1', '', '127.0.0.1.x'])
    expect(kernelEnd(elsewhere, 1)).toBe(undefined);
});

test('of both ends of a connection the other one is looked at, also where it is spelled as IPv6', () => {
  const ends = { peer: '0100007F:C001', own: '0100007F:2240' };
  const table = [
    head,
    `   0: 0100007F:2240 00000000:0000 0A ${rest}  1000        0 1 1`,
    `   1: 0100007F:2240 0100007F:C001 01 ${rest}  1000        0 2 1`,
    `   2: 0100007F:C001 0100007F:2240 01 ${rest}  1001        0 3 1`,
    '',
  ].join('\n');
  expect(userIn(table, ends)).toBe(1_001);
  const mapped = '0000000000000000FFFF00000100007F';
  const table6 = `${head}\n   0: ${mapped}:C001 ${mapped}:2240 01 ${rest}  1002        0 3 1\n`;
  expect(userIn(table6, ends)).toBe(1_002);
  expect(userIn(table, { ...ends, peer: '0100007F:C002' })).toBe(undefined);
  expect(userIn('', ends)).toBe(undefined);
});

test.runIf(process.platform === 'linux').each(['127.0.0.1', '::1', '127.0.0.2'])(
  'a program of ours that connects to %s is ours',
  async (host) => {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, host);
    const [socket] = (await once(server, 'connection')) as [Socket];
    expect(await peerUser(socket)).toBe(process.getuid?.());
    client.destroy();
    socket.destroy();
    server.close();
  },
);
