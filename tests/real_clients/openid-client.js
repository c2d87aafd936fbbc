// Does openid-client find its way with nothing but the issuer and the API's address?
import * as oidc from "openid-client";
import { logIn, same } from "./browser.js";

const [url, , resource] = process.argv.slice(2);
const execute = [oidc.allowInsecureRequests]; // the sandbox is on this machine
const issuer = new URL(url);
const redirectUri = "http://127.0.0.1:53682/callback";

for (const algorithm of ["oidc", "oauth2"]) {
  await oidc.discovery(issuer, "demo", undefined, oidc.None(), { algorithm, execute });
  console.log(`ok  discovery, ${algorithm}`);
}
const config = await oidc.dynamicClientRegistration(
  issuer,
  { redirect_uris: [redirectUri], token_endpoint_auth_method: "client_secret_post" },
  undefined,
  { execute },
);
const verifier = oidc.randomPKCECodeVerifier();
const [expectedState, expectedNonce] = [oidc.randomState(), oidc.randomNonce()];
const callback = await logIn(
  oidc.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: "openid email offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource,
    state: expectedState,
    nonce: expectedNonce,
  }),
);
const tokens = await oidc.authorizationCodeGrant(
  config, callback, { pkceCodeVerifier: verifier, expectedState, expectedNonce }, { resource },
);
const { sub } = tokens.claims();
same(sub, "sandbox|ada", "registration and code");
same((await oidc.fetchUserInfo(config, tokens.access_token, sub)).email, "ada@example.com", "userinfo");
const renewed = await oidc.refreshTokenGrant(config, tokens.refresh_token, { resource });
same((await oidc.tokenIntrospection(config, renewed.access_token)).active, true, "refresh");
await oidc.tokenRevocation(config, renewed.refresh_token);
same((await oidc.tokenIntrospection(config, renewed.access_token)).active, false, "revocation");
const own = await oidc.clientCredentialsGrant(config, { resource });
same((await oidc.tokenIntrospection(config, own.access_token)).active, true, "client credentials");
const out = oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: "http://localhost:4040" });
same((await fetch(out, { redirect: "manual" })).status, 303, "logout");
