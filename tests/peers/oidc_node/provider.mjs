// An OpenID provider (npm oidc-provider) for the login tests: `node provider.mjs '<json>'`.
// Argument: {"port": n, "secret": text, "redirects": [uri], "users": {login: claims}}.
// Prints {"issuer": url} when it listens. Its sign-in page takes any password.
import process from 'node:process';
import * as crypto from 'node:crypto';
import { Provider } from 'oidc-provider';

const given = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${given.port}`;

function signingKey(kid, type, options, use) {
  const { privateKey } = crypto.generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', ...use };
}

const keys = [
  signingKey('rsa', 'rsa', { modulusLength: 2048 }),
  signingKey('ec', 'ec', { namedCurve: 'P-256' }),
];

const client = (id, more) => ({
  client_id: id,
  client_secret: given.secret,
  redirect_uris: given.redirects,
  grant_types: ['authorization_code'],
  response_types: ['code'],
  ...more,
});

const provider = new Provider(issuer, {
  clients: [
    client('desktop', { token_endpoint_auth_method: 'client_secret_basic' }),
    client('desktop-post', {
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    }),
    client('desktop-hs', { id_token_signed_response_alg: 'HS256' }),
  ],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username', 'family_name', 'uid', 'uidNumber', 'gidNumber', 'groups', 'picture'],
    email: ['email', 'email_verified'],
  },
  cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
  jwks: { keys },
  pkce: { required: () => false },
  conformIdTokenClaims: true,
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'HS256'] },
  features: { devInteractions: { enabled: true }, resourceIndicators: { enabled: false } },
  findAccount: async (ctx, id) => (given.users[id]
    ? { accountId: id, claims: async () => ({ ...given.users[id], sub: given.users[id].sub ?? id }) }
    : undefined),
});

const server = provider.listen(given.port, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
process.on('SIGTERM', () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
