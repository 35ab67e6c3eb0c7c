/** What a secret is, in words for reports: never the secret itself. */
export type SecretKind =
  | 'AWS access key id'
  | 'Anthropic key'
  | 'Cloudflare token'
  | 'Databricks token'
  | 'Docker token'
  | 'Figma token'
  | 'GitHub token'
  | 'GitLab token'
  | 'Google key'
  | 'Grafana token'
  | 'Groq key'
  | 'Hugging Face token'
  | 'JSON web token'
  | 'Linear key'
  | 'Notion token'
  | 'OpenAI key'
  | 'OpenRouter key'
  | '1Password token'
  | 'PyPI token'
  | 'SendGrid key'
  | 'Shopify token'
  | 'Slack token'
  | 'Stripe key'
  | 'Tailscale key'
  | 'Vault token'
  | 'Vercel token'
  | 'npm token'
  | 'authorization header'
  | 'assigned key'
  | 'assigned password'
  | 'password in an address'
  | 'private key';

/** Characters that a stretch of a token consists of; base64 with `+`, `/` and `=`. */
export type Alphabet =
  | 'digits'
  | 'hex'
  | 'upper'
  | 'alphanumeric'
  | 'word'
  | 'dashed'
  | 'dotted'
  | 'base64';

/** The longest run of an alphabet from a place on, which has to have a length. */
interface TokenPart {
  readonly alphabet: Alphabet;
  readonly minChars: number;
  readonly maxChars: number;
}

/** A token that is known by how it begins. */
export interface TokenShape {
  readonly kind: SecretKind;
  readonly prefixes: readonly string[];
  /** What follows, runs and what stands between them. */
  readonly parts: readonly (TokenPart | string)[];
  /** What the first {@link formChars} behind the prefix must look like besides. */
  readonly form?: RegExp;
}

/** See {@link TokenShape.form}; few, because many prefixes may stand in one run. */
export const formChars = 64;

/**
 * The tokens that have a form of their own. Prefixes, alphabets and lengths are those of the rules
 * in secretlint's recommended preset 13.1 (github.com/secretlint/secretlint, MIT), and of the pages
 * of their makers: docs.github.com
 * "Behind GitHub's new authentication token formats", docs.gitlab.com "Token prefixes",
 * docs.slack.dev "Tokens", docs.aws.amazon.com "IAM identifiers", docs.pypi.org "Secret reporting",
 * developer.hashicorp.com "Vault tokens"; JSON web tokens: RFC 7519. Where a maker has made its
 * tokens longer before, there is room for more.
 */
export const tokenShapes: readonly TokenShape[] = [
  shape('Anthropic key', ['sk-ant-'], [run('dashed', 40, 200)]),
  shape('OpenAI key', ['sk-proj-', 'sk-svcacct-', 'sk-admin-'], [run('dashed', 40, 300)]),
  shape('OpenRouter key', ['sk-or-v1-'], [run('hex', 64, 64)]),
  // Also those of DeepSeek, Moonshot and others who copied the form.
  shape('OpenAI key', ['sk-'], [run('alphanumeric', 32, 64)], /\d/),
  shape('Groq key', ['gsk_'], [run('alphanumeric', 52, 52)]),
  shape('Hugging Face token', ['hf_'], [run('alphanumeric', 34, 40)]),
  shape('GitHub token', ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], [run('word', 36, 255)]),
  shape(
    'GitHub token',
    ['ghs_'],
    [run('digits', 1, 20), '_', ...list('.', run('dashed', 10, 4_000), 3)],
  ),
  shape('GitHub token', ['github_pat_'], [run('word', 82, 255)]),
  shape(
    'GitLab token',
    ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'glimt-', 'glft-', 'glsoat-', 'glagent-'],
    [run('dotted', 20, 300)],
  ),
  shape(
    'Slack token',
    ['xoxa-', 'xoxb-', 'xoxc-', 'xoxd-', 'xoxo-', 'xoxp-', 'xoxr-', 'xoxs-', 'xoxe.', 'xapp-'],
    [run('dotted', 20, 400)],
    /\d/,
  ),
  shape('Slack token', ['hooks.slack.com/services/'], list('/', run('alphanumeric', 6, 40), 3)),
  shape(
    'AWS access key id',
    ['AKIA', 'ASIA', 'AGPA', 'AIDA', 'AROA', 'AIPA', 'ANPA', 'ANVA', 'ABIA', 'ACCA'],
    [run('upper', 16, 16)],
  ),
  shape('Google key', ['AIza'], [run('dashed', 35, 35)]),
  shape('Google key', ['GOCSPX-'], [run('dashed', 28, 28)]),
  shape('Google key', ['ya29.'], [run('dashed', 40, 2_000)]),
  shape(
    'Stripe key',
    ['sk_live_', 'sk_test_', 'rk_live_', 'rk_test_'],
    [run('alphanumeric', 24, 250)],
  ),
  shape('Stripe key', ['whsec_'], [run('base64', 32, 100)], /\d/),
  shape('npm token', ['npm_'], [run('word', 36, 36)]),
  shape('PyPI token', ['pypi-AgE'], [run('dashed', 50, 1_000)]),
  shape('SendGrid key', ['SG.'], [run('dashed', 16, 32), '.', run('dashed', 32, 64)]),
  shape('Shopify token', ['shpat_', 'shpca_', 'shppa_', 'shpss_'], [run('alphanumeric', 32, 64)]),
  shape('Linear key', ['lin_api_'], [run('word', 32, 128)]),
  shape('Notion token', ['ntn_'], [run('alphanumeric', 46, 46)], /^\d{11}/),
  shape('Grafana token', ['glc_'], [run('base64', 32, 400)]),
  shape('Grafana token', ['glsa_'], [run('alphanumeric', 32, 32), '_', run('hex', 8, 8)]),
  shape('1Password token', ['ops_ey'], [run('base64', 100, 1_280)]),
  shape('Vault token', ['hvs.', 'hvb.', 'hvr.'], [run('dashed', 90, 300)]),
  shape('Vercel token', ['vcp_', 'vci_', 'vca_', 'vcr_', 'vck_'], [run('alphanumeric', 20, 60)]),
  shape('Databricks token', ['dapi'], [run('hex', 32, 32)]),
  shape('Docker token', ['dckr_pat_', 'dckr_oat_'], [run('dashed', 27, 40)]),
  shape('Figma token', ['figd_'], [run('dashed', 40, 200)]),
  shape('Cloudflare token', ['cfk_', 'cfut_', 'cfat_'], [run('alphanumeric', 48, 48)]),
  shape(
    'Tailscale key',
    ['tskey-'],
    [run('alphanumeric', 2, 20), '-', run('word', 8, 40), '-', run('word', 16, 60)],
  ),
  shape(
    'JSON web token',
    ['eyJ'],
    [run('dashed', 10, 4_000), '.eyJ', run('dashed', 10, 8_000), '.', run('dashed', 20, 2_000)],
  ),
];

function shape(
  kind: SecretKind,
  prefixes: readonly string[],
  parts: readonly (TokenPart | string)[],
  form?: RegExp,
): TokenShape {
  return { kind, prefixes, parts, ...(form === undefined ? {} : { form }) };
}

function run(alphabet: Alphabet, minChars: number, maxChars: number): TokenPart {
  return { alphabet, minChars, maxChars };
}

/** The same run several times. */
function list(between: string, part: TokenPart, count: number): readonly (TokenPart | string)[] {
  return Array.from({ length: 2 * count - 1 }, (_, index) => (index % 2 === 0 ? part : between));
}
