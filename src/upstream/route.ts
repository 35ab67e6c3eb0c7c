import { BlockList, isIP } from 'node:net';
import { ProxyError } from '../errors.ts';
import { shownAddress } from './endpoint.ts';

/** A variable of the environment that was found. */
interface Variable {
  readonly name: string;
  readonly value: string;
}

/** What the environment says of forward proxies. */
export interface ForwardProxies {
  readonly http?: Variable | undefined;
  readonly https?: Variable | undefined;
  readonly none?: Variable | undefined;
}

/** How an origin is reached. */
export interface Route {
  /** Absent: straight. */
  readonly proxy?: { readonly uri: string; readonly variable: string };
  /** The variable that names a proxy which this origin is exempt from, and why. */
  readonly exempt?: { readonly variable: string; readonly because: string };
}

/**
 * The proxies of the environment, with curl's precedence: small letters before capitals, the
 * scheme's own before the one for all; an empty variable counts as unset. (curl ignores
 * `HTTP_PROXY`, because a web server would set it from a header; this is not one.)
 */
export function readProxies(env: Readonly<Record<string, string | undefined>>): ForwardProxies {
  const first = (...names: readonly string[]): Variable | undefined => {
    const name = names.find((each) => (env[each] ?? '').trim() !== '');
    return name === undefined ? undefined : { name, value: (env[name] ?? '').trim() };
  };
  return {
    http: first('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'),
    https: first('https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'),
    none: first('no_proxy', 'NO_PROXY'),
  };
}

/**
 * How an address is reached. Loopback never goes through a proxy. @throws ProxyError
 * `config_invalid` for a proxy that is not an address
 */
export function routeTo(address: string, proxies: ForwardProxies): Route {
  const url = new URL(address);
  const proxy = url.protocol === 'https:' ? proxies.https : proxies.http;
  if (proxy === undefined) return {};
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
  const exempt = (because: string): Route => ({ exempt: { variable: proxy.name, because } });
  if (isLoopback(host)) return exempt('it is on this machine');
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  if (isNamed(host, port, proxies.none?.value ?? '')) {
    return exempt(`${proxies.none?.name ?? ''} names it`);
  }
  return { proxy: { uri: proxyUri(proxy), variable: proxy.name } };
}

/** The route in words, credentials masked; empty where no proxy is spoken of. */
export function routeText({ proxy, exempt }: Route): string {
  if (proxy !== undefined) return `through ${shownAddress(proxy.uri)} (${proxy.variable})`;
  return exempt === undefined
    ? ''
    : `not through the proxy of ${exempt.variable}: ${exempt.because}`;
}

/** A proxy without a scheme is one that speaks HTTP, as for curl. */
function proxyUri({ name, value }: Variable): string {
  const uri = /^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const known = URL.canParse(uri) && /^(https?|socks5?h?):$/.test(new URL(uri).protocol);
  if (known) return uri.replace(/^socks5?h:/i, 'socks5:');
  throw new ProxyError('config_invalid', `${name} names no proxy that can be used.`, {
    hint: 'It must be like http://proxy.example:3128; http, https and socks5 are known.',
  });
}

function isLoopback(host: string): boolean {
  return /^(.*\.)?localhost$/i.test(host) || /^127\.|^0\.0\.0\.0$|^::1?$/.test(host);
}

/**
 * Whether a list names a host: `*`, a name with all below it, an address, a network (`10.0.0.0/8`),
 * each with a port if it likes.
 */
function isNamed(host: string, port: string, list: string): boolean {
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '') return false;
    if (entry === '*') return true;
    if (entry.includes('/')) return isInNetwork(host, entry);
    const [, name = entry, wanted] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? [];
    if (wanted !== undefined && wanted !== port) return false;
    const bare = name
      .replace(/^\[(.*)\]$/, '$1')
      .toLowerCase()
      .replace(/\.$/, '');
    const suffix = bare.replace(/^\*?\./, '');
    return (host === suffix && !bare.startsWith('*')) || host.endsWith(`.${suffix}`);
  });
}

function isInNetwork(host: string, network: string): boolean {
  const [base = '', bits = ''] = network.replaceAll(/[[\]]/g, '').split('/');
  const kind = isIP(base) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(host) === 0 || isIP(base) !== isIP(host) || !/^\d+$/.test(bits)) return false;
  if (Number(bits) > (kind === 'ipv6' ? 128 : 32)) return false;
  const networks = new BlockList();
  networks.addSubnet(base, Number(bits), kind);
  return networks.check(host, kind);
}
