// Does oauth4webapi find its way with nothing but the issuer and the API's address?
import * as oauth from "oauth4webapi";
import { fails, logIn, refused, same } from "./browser.js";

const [url, audience, resource] = process.argv.slice(2);
const http = { [oauth.allowInsecureRequests]: true }; // the sandbox is on this machine
const issuer = new URL(url);

for (const algorithm of ["oidc", "oauth2"]) {
  const found = await oauth.discoveryRequest(issuer, { algorithm, ...http });
  await oauth.processDiscoveryResponse(issuer, found);
  console.log(`ok  discovery, ${algorithm}`);
}
const server = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...http }),
);

async function register(metadata) {
  return oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, metadata, http),
  );
}

const client = await register({
  redirect_uris: ["http://127.0.0.1/callback"],
  token_endpoint_auth_method: "none",
});
console.log("ok  registration of a public client");
const none = oauth.None();
const redirectUri = "http://127.0.0.1:53682/callback"; // another port (RFC 8252 §7.3)
const verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];

async function authorizationUrl(changes = {}) {
  const at = new URL(server.authorization_endpoint);
  at.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: "code",
    scope: "openid profile offline_access",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource,
    state,
    nonce,
    organization: "org_1",
    ...changes,
  });
  return at;
}

const elsewhere = await refused(await authorizationUrl({ resource: "https://other.example.com" }));
await fails(
  () => oauth.validateAuthResponse(server, client, elsewhere, state),
  "invalid_target",
  "an unknown resource, and the error names the issuer",
);

const callback = await logIn(await authorizationUrl());
const parameters = oauth.validateAuthResponse(server, client, callback, state);
const answer = await oauth.authorizationCodeGrantRequest(
  server, client, none, parameters, redirectUri, verifier,
  { additionalParameters: { resource }, ...http },
);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, {
  expectedNonce: nonce,
  requireIdToken: true,
});
same(oauth.getValidatedIdTokenClaims(tokens).org_id, "org_1", "code, with an ID token");
await oauth.validateApplicationLevelSignature(server, answer, http);

async function accessTokenClaims(token) {
  const headers = { authorization: `Bearer ${token}` };
  const request = new Request(resource, { headers });
  return oauth.validateJwtAccessToken(server, request, audience, http);
}

const claims = await accessTokenClaims(tokens.access_token);
same(claims.client_id, client.client_id, "access token (RFC 9068)");

const user = await oauth.processUserInfoResponse(
  server, client, claims.sub,
  await oauth.userInfoRequest(server, client, tokens.access_token, http),
);
same(user.sub, claims.sub, "userinfo");

async function refresh(token) {
  return oauth.processRefreshTokenResponse(
    server, client,
    await oauth.refreshTokenGrantRequest(server, client, none, token, {
      additionalParameters: { resource }, ...http,
    }),
  );
}

const renewed = await refresh(tokens.refresh_token);
await accessTokenClaims(renewed.access_token);
console.log("ok  refresh");

const service = await register({
  redirect_uris: ["https://app.example.com/callback"],
  token_endpoint_auth_method: "client_secret_basic",
});
const secret = oauth.ClientSecretBasic(service.client_secret);
const own = await oauth.processClientCredentialsResponse(
  server, service,
  await oauth.clientCredentialsGrantRequest(
    server, service, secret, { resource, scope: "read:reports" }, http,
  ),
);
same((await accessTokenClaims(own.access_token)).client_id, service.client_id, "client credentials");

async function isActive(token) {
  const asked = await oauth.introspectionRequest(server, service, secret, token, http);
  return (await oauth.processIntrospectionResponse(server, service, asked)).active;
}

same(await isActive(renewed.access_token), true, "introspection");
await oauth.processRevocationResponse(
  await oauth.revocationRequest(server, client, none, renewed.refresh_token, http),
);
same(await isActive(renewed.access_token), false, "revocation");
await fails(() => refresh(renewed.refresh_token), "invalid_grant", "a revoked refresh token");
