import { isIP } from 'node:net';
import { ProxyError } from '../../errors.ts';

/** Where a shared store is, host by host. */
export interface StoreAddress {
  /** One connection string for each host, tried in their order. */
  readonly urls: readonly string[];
  /** The same without password, for people and logs. */
  readonly shown: string;
  /** The database itself, whoever asks it: hosts and database, for the name of a folder. */
  readonly place: string;
}

/**
 * The address of a PostgreSQL database: `postgres://user:password@host:5432/database`; several
 * hosts (`host1,host2:5433`) are tried one after the other, as libpq does.
 * Connections that leave the machine are encrypted and the server's certificate is verified
 * (`sslmode=verify-full`, with `sslrootcert=FILE` for an authority of one's own).
 * @throws ProxyError `config_invalid`
 */
export function readAddress(url: string): StoreAddress {
  const match = /^(postgres(?:ql)?:\/\/)(?:([^@/]*)@)?([^/?]+)(\/[^?]*)?(?:\?(.*))?$/.exec(url);
  if (match === null)
    throw invalid('It has to look like postgres://user:password@host:5432/database.');
  const [, scheme = '', credentials, hosts = '', path = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  const mode = parameters.get('sslmode');
  const urls = hosts.split(',').map((host) => {
    if (isLoopback(hostOf(host))) return urlOf(scheme, credentials, host, path, parameters);
    if (mode !== null && !['verify-full', 'verify-ca', 'require'].includes(mode)) {
      throw invalid(
        `sslmode=${mode} would send stored texts to ${host} readable for others on the way; leave it out, or give sslmode=verify-full.`,
      );
    }
    const encrypted = new URLSearchParams(parameters);
    encrypted.set('sslmode', 'verify-full');
    return urlOf(scheme, credentials, host, path, encrypted);
  });
  const user = credentials?.split(':')[0];
  const shownUser = user === undefined ? '' : `${user}@`;
  return {
    urls,
    shown: `postgres://${shownUser}${hosts}${path}`,
    place: `${hosts}${path}`.toLowerCase(),
  };
}

function urlOf(
  scheme: string,
  credentials: string | undefined,
  host: string,
  path: string,
  parameters: URLSearchParams,
): string {
  const query = parameters.size === 0 ? '' : `?${parameters.toString()}`;
  return `${scheme}${credentials === undefined ? '' : `${credentials}@`}${host}${path}${query}`;
}

function hostOf(host: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d+$/, '');
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

function invalid(why: string): ProxyError {
  return new ProxyError('config_invalid', `store.url is not an address that can be used. ${why}`, {
    hint: 'See docs/team.md.',
  });
}
