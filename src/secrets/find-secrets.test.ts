import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { findSecrets, maskSecrets, SecretScan } from './find-secrets.ts';
import { TextRuns } from './text-runs.ts';
import { tokenShapes } from './token-shapes.ts';

/**
 * Letters and digits without meaning, the same each time; put together, so no scanner sees them.
 */
function noise(length: number, alphabet = 'q7Rk2ZpW9xVb4TnM8sLd3HfJ6gCy5A'): string {
  let state = 12_345;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return alphabet[Math.floor(state / 65_536) % alphabet.length]!;
  }).join('');
}

const keyBody = Array.from({ length: 12 }, () => noise(64)).join('\n');
const pem = [
  '-----BEGIN RSA ',
  'PRIVATE KEY-----\n',
  keyBody,
  '\n-----END RSA ',
  'PRIVATE KEY-----',
];
const jwt = ['eyJ', noise(20), '.eyJ', noise(60), '.', noise(43)].join('');

const secrets: readonly (readonly [kind: string, secret: string])[] = [
  ['AWS access key id', `AKIA${noise(16, 'ABCDEFGH234567')}`],
  ['Anthropic key', `sk-ant-api03-${noise(93)}AA`],
  ['OpenAI key', `sk-proj-${noise(74)}`],
  ['OpenAI key', `sk-${noise(48)}`],
  ['OpenRouter key', `sk-or-v1-${noise(64, '0123456789abcdef')}`],
  ['GitHub token', `ghp_${noise(36)}`],
  ['GitHub token', `github_pat_${noise(82)}`],
  ['GitHub token', `ghs_1234_${jwt}`],
  ['GitLab token', `glpat-${noise(20)}`],
  ['Slack token', `xoxb-123456789012-${noise(24)}`],
  ['Google key', `AIza${noise(35)}`],
  ['Stripe key', `sk_live_${noise(24)}`],
  ['npm token', `npm_${noise(36)}`],
  ['PyPI token', `pypi-AgE${noise(120)}`],
  ['SendGrid key', `SG.${noise(22)}.${noise(43)}`],
  ['Shopify token', `shpat_${noise(32)}`],
  ['Hugging Face token', `hf_${noise(34)}`],
  ['Groq key', `gsk_${noise(52)}`],
  ['Linear key', `lin_api_${noise(40)}`],
  ['Notion token', `ntn_12345678901${noise(35)}`],
  ['Grafana token', `glsa_${noise(32)}_0a1b2c3d`],
  ['1Password token', `ops_ey${noise(200)}`],
  ['Vault token', `hvs.${noise(95)}`],
  ['Vercel token', `vcp_${noise(40)}`],
  ['Databricks token', `dapi${noise(32, '0123456789abcdef')}`],
  ['Docker token', `dckr_pat_${noise(27)}`],
  ['Figma token', `figd_${noise(43)}`],
  ['Cloudflare token', `cfut_${noise(40)}01234567`],
  ['Tailscale key', `tskey-auth-${noise(16)}-${noise(32)}`],
  ['JSON web token', jwt],
];

it('every shape of the list has an example here', () => {
  const kinds = new Set(tokenShapes.map(({ kind }) => kind));
  expect(kinds).toEqual(new Set(secrets.map(([kind]) => kind)));
});

it.each(secrets)('finds a %s, wherever it stands, and nothing around it', (kind, secret) => {
  const surroundings = [
    ['', ''],
    ['export KEY=', '\nnext'],
    ['{"key":"', '","more":1}'],
    ['a line\\n', '\\nanother'],
    ['It is ', '. And so on'],
    ['– 🔒 ü ', ' ü'],
  ] as const;
  for (const [before, after] of surroundings) {
    const text = `${before}${secret}${after}`;
    const [found, ...more] = findSecrets(text);
    expect(more).toEqual([]);
    expect(found).toMatchObject({ kind, start: before.length, end: before.length + secret.length });
    expect(found?.startBytes).toBe(Buffer.byteLength(before));
    expect(found?.endBytes).toBe(Buffer.byteLength(before + secret));
    expect(maskSecrets(text)).toBe(`${before}${'#'.repeat(secret.length)}${after}`);
  }
});

it('finds what stands behind a name, in an address, in a header', () => {
  const key = noise(40);
  const password = ['corr3ct', 'h0rse'].join('-');
  const cases = [
    [`aws_secret_access_key = ${key}`, key, 'assigned key'],
    [`const apiKey = "${key}";`, key, 'assigned key'],
    [`{"client_secret": "${key}"}`, key, 'assigned key'],
    [`"{\\"accessToken\\":\\"${key}\\"}"`, key, 'assigned key'],
    [`GET /x?access_token=${key}&y=1`, key, 'assigned key'],
    [`DB_PASSWORD=${password}\n`, password, 'assigned password'],
    [`password: "${password}"`, password, 'assigned password'],
    [`curl -H "Authorization: Bearer ${key}" x`, key, 'authorization header'],
    [`postgres://app:${password}@db.internal/x`, password, 'password in an address'],
    [`https://me:${key}@host/path`, key, 'password in an address'],
  ] as const;
  for (const [text, secret, kind] of cases) {
    const found = findSecrets(text);
    expect(found.map((each) => [each.kind, text.slice(each.start, each.end)])).toEqual([
      [kind, secret],
    ]);
  }
});

it('of a private key the body is found, also without its end, in JSON and in code', () => {
  const cut = pem.slice(0, 3).join('');
  for (const text of [
    pem.join(''),
    cut,
    JSON.stringify({ private_key: pem.join(''), next: 'stays here' }),
    JSON.stringify({ private_key: cut, next: 'stays here' }),
    keyBody.split('\n').reduce((code, line) => `${code} +\n  "${line}\\n"`, `"${pem[0]}${pem[1]}"`),
  ]) {
    const masked = maskSecrets(text);
    expect(masked.length).toBe(text.length);
    for (const line of keyBody.split('\n')) expect(masked).not.toContain(line.slice(0, 20));
    expect(masked).toContain('PRIVATE KEY-----');
    const after = text.startsWith('{') ? (JSON.parse(masked) as { next?: string }).next : 'no JSON';
    expect(['stays here', 'no JSON']).toContain(after);
  }
});

it('knows what is none: names in code, hashes, ids, placeholders, examples of documentation', () => {
  const uuid = '3f2a9c1e-7b4d-4e8f-9a0b-1c2d3e4f5a6b';
  const sha = noise(40, '0123456789abcdef');
  for (const text of [
    'const token = await nextTokenOfStream2(reader);',
    'const apiKey = process.env.OPENAI_API_KEY;',
    'password: string; passwordHash2: PasswordHashOfUser2;',
    'api_key = "your-api-key-here"; secret: "${SECRET_FROM_VAULT_1}"',
    'API_KEY=sk-your-key-here-0000000000000000',
    'password = "password123example"',
    `commit ${sha}\ntoken_id: ${uuid}\netag: "${sha}"`,
    'postgres://postgres:postgres@localhost/db https://${USER}:${PASS}@host http://a:b@c',
    'sk-learn ghp_short AKIAINTHEMIDDLEOFSOMETHINGLONGER eyJ.eyJ.x xoxb-not-a-token-at-all',
    '-----BEGIN PUBLIC KEY-----\n-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----',
    `"integrity": "sha512-${noise(86)}=="`,
    'Authorization: Bearer <token>',
    `secretsAreFound2Here: secretsAreFoundHereOfAllKinds`,
  ]) {
    expect([text, ...findSecrets(text)]).toEqual([text]);
  }
});

it('in this program, its libraries and outputs of tools nothing is taken for a secret', () => {
  const root = join(import.meta.dirname, '../..');
  const files = globSync(
    [
      'src/**/!(*.test).ts',
      'test/recall/outputs/**/*',
      'package-lock.json',
      'node_modules/{fastify,zod,undici}/**/*.{js,md}',
    ],
    { cwd: root, withFileTypes: true },
  ).filter((file) => file.isFile());
  let bytes = 0;
  for (const { parentPath, name } of files) {
    const text = readFileSync(join(parentPath, name), 'utf8');
    bytes += text.length;
    expect([name, ...findSecrets(text)]).toEqual([name]);
    if (bytes > 6_000_000) break;
  }
  expect(bytes).toBeGreaterThan(1_000_000);
});

it('a text in pieces holds what it holds whole', () => {
  const word = fc.oneof(
    fc.constantFrom(...secrets.map(([, secret]) => secret), pem.join(''), `api_key="${noise(30)}"`),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom(' ', '\n', '"', 'a'.repeat(700_000), 'ü🔒'.repeat(100_000)),
  );
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 12 }),
      fc.array(fc.integer({ min: 0, max: 2_000_000 }), { maxLength: 5 }),
      (words, cuts) => {
        const text = words.join('').toWellFormed();
        const places = [...cuts.map((cut) => Math.min(cut, text.length)), 0, text.length].sort(
          (a, b) => a - b,
        );
        const pieces = places.slice(1).map((end, index) => text.slice(places[index], end));
        const found = findSecrets(pieces);
        expect(found).toEqual(findSecrets(text));
        for (const { start, end, startBytes, endBytes } of found) {
          expect(startBytes).toBe(Buffer.byteLength(text.slice(0, start)));
          expect(endBytes - startBytes).toBe(Buffer.byteLength(text.slice(start, end)));
        }
      },
    ),
    { numRuns: 15 },
  );
});

it('a scan holds little of a text that is long', () => {
  const scan = new SecretScan();
  const piece = 'a line of a log\n'.repeat(4_096);
  for (let n = 0; n < 300; n += 1) expect(scan.add(piece)).toEqual([]);
  scan.add(`ghp_${noise(36)}\n`);
  const [found] = scan.end();
  expect(found?.start).toBe(300 * piece.length);
});

it('asks for a run of a hostile text only once, however many tokens could begin in it', () => {
  let reads = 0;
  const text = 'ghp_'.repeat(50_000);
  const counted = {
    charCodeAt: (at: number) => {
      reads += 1;
      return text.charCodeAt(at);
    },
  } as unknown as string;
  const runs = new TextRuns(counted);
  for (let at = 0; at < text.length; at += 4) expect(runs.endOf('word', at, 0)).toBe(text.length);
  expect(reads).toBeLessThan(text.length + 10);
});

it.each(['ghp_', 'sk-', '-eyJ', 'token=', '://', 'xoxb-', '-----BEGIN PRIVATE KEY-----', 'a'])(
  'four million characters of %s on one line come to an end, without a secret or with few',
  (unit) => {
    const text = unit.repeat(Math.ceil(4_000_000 / unit.length));
    expect(findSecrets(text).length).toBeLessThan(3);
  },
  120_000,
);
