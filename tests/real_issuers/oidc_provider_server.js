// oidc-provider with two APIs whose access tokens are JWTs, and two whose tokens are opaque.
// Its own pages for development let anybody log in, and its own memory keeps the opaque tokens.
import Provider from 'oidc-provider';

const { PORT, KEYS, API_KEYS, CALLBACK } = process.env;
const url = `http://127.0.0.1:${PORT}`;

// By the name of the host, for instance https://es256.example.com
const ALGORITHMS = { ps256: 'PS256', es256: 'ES256', eddsa: 'EdDSA' };

const client = (client_id, more = {}) => ({
  client_id,
  client_secret: `${client_id}-secret`,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  ...more,
});

const provider = new Provider(url, {
  jwks: JSON.parse(KEYS),
  clients: [
    client('machine'),
    client('brief'),
    client('certified', { tls_client_certificate_bound_access_tokens: true }),
    client('web', {
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: [CALLBACK],
    }),
    // The API itself, once for each way to say so when it asks about a token.
    client('api-basic'),
    client('api-post', { token_endpoint_auth_method: 'client_secret_post' }),
    client('api-key', {
      client_secret: undefined,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: JSON.parse(API_KEYS),
    }),
  ],
  scopes: ['openid', 'offline_access', 'read:reports'],
  ttl: {
    ClientCredentials: (ctx, token, client) => (client.clientId === 'brief' ? 1 : 600),
  },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    dPoP: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      // As a proxy hands it over (RFC 9440); this server speaks plain HTTP.
      getCertificate: (ctx) => ctx.get('client-cert').slice(1, -1) || undefined,
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, indicator) => ({
        scope: 'read:reports',
        audience: indicator,
        accessTokenFormat: indicator.includes('opaque') ? 'opaque' : 'jwt',
        jwt: { sign: { alg: ALGORITHMS[new URL(indicator).host.split('.')[0]] ?? 'RS256' } },
      }),
      useGrantedResource: () => true,
    },
  },
});

provider.listen(Number(PORT), '127.0.0.1');
