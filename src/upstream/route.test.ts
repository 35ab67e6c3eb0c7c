import { describe, expect, it } from 'vitest';
import { readProxies, routeText, routeTo } from './route.ts';

const target = 'https://api.example.com/v1';

function proxyOf(address: string, env: Record<string, string>): string | undefined {
  return routeTo(address, readProxies(env)).proxy?.uri;
}

describe('which proxy', () => {
  it.each([
    [{ HTTPS_PROXY: 'http://a:1' }, 'http://a:1'],
    [{ HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:1' }, 'http://b:1'],
    [{ HTTPS_PROXY: 'http://a:1', https_proxy: '' }, 'http://a:1'],
    [{ ALL_PROXY: 'http://a:1', HTTPS_PROXY: 'http://b:1' }, 'http://b:1'],
    [{ all_proxy: 'http://a:1' }, 'http://a:1'],
    [{ HTTP_PROXY: 'http://a:1' }, undefined],
    [{ HTTPS_PROXY: 'a.lan:3128' }, 'http://a.lan:3128'],
    [{ HTTPS_PROXY: 'socks5h://a:1' }, 'socks5://a:1'],
    [{}, undefined],
  ])('%j', (env, proxy) => {
    expect(proxyOf(target, env)).toBe(proxy);
  });

  it('a plain address goes by the proxy for plain addresses', () => {
    const env = { HTTP_PROXY: 'http://a:1', HTTPS_PROXY: 'http://b:1' };
    expect(proxyOf('http://h.lan/v1', env)).toBe('http://a:1');
  });

  it('one that is no address is a fault that names the variable and not its value', () => {
    for (const value of ['ftp://secret@a', 'http://:secret']) {
      expect(() => proxyOf(target, { HTTPS_PROXY: value })).toThrow(/^HTTPS_PROXY (?!.*secret)/);
    }
  });
});

describe('what goes straight', () => {
  const env = { http_proxy: 'http://p:1', https_proxy: 'http://p:1' };

  it.each([
    'http://localhost:1/v1',
    'http://a.localhost/v1',
    'http://127.0.0.1:1/v1',
    'http://127.9.9.9/v1',
    'http://[::1]:8080/v1',
  ])('loopback: %s', (address) => {
    expect(proxyOf(address, env)).toBeUndefined();
  });

  it.each([
    ['*', true],
    ['other.com, api.example.com', true],
    ['example.com', true],
    ['.example.com', true],
    ['*.example.com', true],
    ['EXAMPLE.com.', true],
    ['example.com:443', true],
    ['example.com:80', false],
    ['ample.com', false],
    ['*.api.example.com', false],
    ['localhost', false],
    ['', false],
  ])('NO_PROXY=%s', (none, isStraight) => {
    expect(proxyOf(target, { ...env, NO_PROXY: none }) === undefined).toBe(isStraight);
  });

  it.each([
    ['http://10.1.2.3/v1', '10.0.0.0/8', true],
    ['http://11.1.2.3/v1', '10.0.0.0/8', false],
    ['http://10.1.2.3/v1', '10.1.2.3', true],
    ['http://10.1.2.3:8/v1', '10.1.2.3:8', true],
    ['http://[fd00::1]/v1', 'fd00::/8', true],
    ['http://[fd00::1]/v1', '10.0.0.0/8', false],
    ['http://h/v1', '10.0.0.0/8', false],
    ['http://10.1.2.3/v1', '10.0.0.0/99', false],
  ])('%s with NO_PROXY=%s', (address, none, isStraight) => {
    expect(proxyOf(address, { ...env, no_proxy: none }) === undefined).toBe(isStraight);
  });
});

it('the route in words: credentials masked, and why a proxy is not used', () => {
  const env = { HTTPS_PROXY: 'http://me:secret@p.lan:3128', NO_PROXY: 'b.com' };
  const words = (address: string): string => routeText(routeTo(address, readProxies(env)));
  expect(words('https://a.com')).toBe('through http://***@p.lan:3128 (HTTPS_PROXY)');
  expect(words('https://b.com')).toBe('not through the proxy of HTTPS_PROXY: NO_PROXY names it');
  expect(words('https://localhost')).toContain('on this machine');
  expect(words('http://a.com')).toBe('');
});
