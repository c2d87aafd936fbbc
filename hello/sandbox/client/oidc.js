// How does the client talk to the issuer? (OpenID Connect, authorization code with PKCE: RFC 7636)

import { ALGORITHM, askWithProof } from "./dpop.js";
import { random, sha256 } from "./encoding.js";
import { Denied, OutOfService, Problem, ask } from "./problem.js";
import { note } from "./timeline.js";
import { decode } from "./token.js";

const CLOCKS_DIFFER_SECONDS = 60;

/** Return the issuer's metadata (OpenID Connect Discovery 1.0 §4). */
export async function discover(issuer) {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  // Fetched each time, past any cache: if the issuer is down, this page says so, instead of an
  // error page of the browser.
  const { response, text } = await ask("issuer", url, { cache: "no-cache" });
  const metadata = json(text);
  if (!response.ok || metadata === null) throw unexpected(url, response);
  if (metadata.issuer !== issuer) {
    throw new Problem(
      "That is another issuer",
      `${url} says that it is ${metadata.issuer}, and not ${issuer}.`,
    );
  }
  for (const name of ["authorization_endpoint", "token_endpoint", "end_session_endpoint"]) {
    const endpoint = metadata[name];
    if (endpoint === undefined && name === "end_session_endpoint") continue; // older tenants have none
    // A login is a navigation: only to a web page, and not from https to http.
    const protocol = URL.canParse(endpoint) ? new URL(endpoint).protocol : null;
    if (protocol !== "https:" && protocol !== new URL(issuer).protocol) {
      throw new Problem("The issuer's metadata cannot be used", `Its ${name} is ${endpoint}.`);
    }
  }
  const [asked, own] = [metadata.token_endpoint, issuer].map((url) => new URL(url).origin);
  if (asked !== own) {
    throw new Problem(
      "This page cannot log in with this issuer",
      `Its token_endpoint is at ${asked}. Of issuers, this page's Content-Security-Policy lets it ask ${own} alone.`,
    );
  }
  return metadata;
}

/** Return whether an issuer says that it binds tokens to keys like this page's (RFC 9449 §5.1). */
export function bindsTokens(metadata) {
  const algorithms = metadata.dpop_signing_alg_values_supported;
  return Array.isArray(algorithms) && algorithms.includes(ALGORITHM);
}

/** Return the random secrets of one login, which bind the issuer's answer to this browser. */
export function newTransaction() {
  if (!globalThis.crypto?.subtle) {
    throw new Problem(
      "This page cannot log anybody in",
      "It needs https, or an address on this machine.",
    );
  }
  return { state: random(), nonce: random(), verifier: random() };
}

/** Return the address that asks for a code. */
export async function authorizationUrl(metadata, config, transaction, more) {
  const url = new URL(metadata.authorization_endpoint);
  const parameters = {
    response_type: "code",
    client_id: config.clientId,
    redirect_uri: redirectUri(),
    scope: "openid profile email",
    audience: config.audience,
    state: transaction.state,
    nonce: transaction.nonce,
    code_challenge: await sha256(transaction.verifier),
    code_challenge_method: "S256",
    ...more,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/**
 * Exchange a code for tokens. Return { accessToken, idToken, claims, expiresAt,
 * lifetime, key }, with times in milliseconds.
 *
 * `key` is what the access token is to be bound to, or null for a bearer token.
 */
export async function redeem(metadata, config, transaction, code, key) {
  const url = metadata.token_endpoint;
  const request = {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: config.clientId,
      code,
      code_verifier: transaction.verifier,
      redirect_uri: redirectUri(),
    }),
  };
  const { response, text, proof } = await (key === null
    ? ask("issuer", url, request)
    : askWithProof("issuer", url, request, { key }));
  const answer = json(text);
  note(
    "token",
    { line: `POST ${url}`, fields: { ...Object.fromEntries(request.body), ...(proof && { DPoP: proof }) } },
    { line: `${response.status} ${response.statusText}`.trim(), fields: answer ?? {} },
  );
  if (!response.ok && typeof answer?.error === "string") throw refusal(answer);
  if (
    !response.ok ||
    typeof answer?.access_token !== "string" ||
    typeof answer.id_token !== "string"
  ) {
    throw unexpected(url, response);
  }
  checkType(answer.token_type, key);
  const seconds = answer.expires_in ?? decode(answer.access_token)?.payload.exp - Date.now() / 1000;
  return {
    accessToken: answer.access_token,
    idToken: answer.id_token,
    claims: checkIdToken(answer.id_token, config, transaction.nonce),
    expiresAt: Date.now() + seconds * 1000,
    lifetime: seconds * 1000,
    key,
  };
}

/** Refuse a token that is sent in another way than it was asked for (RFC 6749 §7.1). */
function checkType(type, key) {
  const wanted = key === null ? "bearer" : "dpop";
  if (typeof type === "string" && type.toLowerCase() === wanted) return;
  if (key === null) {
    throw new Problem("The issuer's token cannot be used", `Its type is ${type}, and not Bearer.`);
  }
  // The metadata said that it would be bound, so something on the way took the proof away (§5).
  throw new Problem(
    "The issuer did not bind the token to this browser",
    `Its type is ${type}, and not DPoP, although the issuer says that it binds tokens. Whoever has a copy could use this one, so this page threw it away. To log in without binding, switch it off.`,
  );
}

/**
 * Check the ID token's claims and return them (OpenID Connect Core §3.1.3.7). The signature is not
 * checked, because the token came directly from the issuer (item 6).
 */
export function checkIdToken(idToken, config, nonce) {
  const claims = decode(idToken)?.payload;
  if (!claims) throw new Problem("The issuer's ID token cannot be trusted", "It is no JWT.");
  const audience = [claims.aud].flat();
  const [, wrong] =
    [
      [claims.iss === config.issuer, `It is from ${claims.iss}.`],
      [audience.includes(config.clientId), `It is for ${audience.join(", ")}.`],
      [audience.length === 1 || claims.azp === config.clientId, `It was given to ${claims.azp}.`],
      [claims.nonce === nonce, "It is of another login."],
      [
        claims.exp > Date.now() / 1000 - CLOCKS_DIFFER_SECONDS,
        "It has expired: is this machine's clock right?",
      ],
      [typeof claims.sub === "string", "It is about nobody."],
    ].find(([right]) => !right) ?? [];
  if (wrong) throw new Problem("The issuer's ID token cannot be trusted", wrong);
  return claims;
}

/** Return the address that ends the issuer's session, and comes back to this origin. */
export function logoutUrl(metadata, config, idToken) {
  const url = new URL(
    metadata.end_session_endpoint ?? `${config.issuer.replace(/\/$/, "")}/v2/logout`,
  );
  const parameters = metadata.end_session_endpoint
    ? { id_token_hint: idToken, post_logout_redirect_uri: location.origin } // OpenID Connect RP-Initiated Logout
    : { returnTo: location.origin }; // Auth0's own
  url.searchParams.set("client_id", config.clientId);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** Return the issuer's error (RFC 6749 §4.1.2.1, §5.2) as a problem, in its own words. */
export function refusal({ error, error_description: description }) {
  if (error === "access_denied") {
    return new Denied(
      "Nobody was logged in: access_denied",
      "You cancelled the login, or the issuer does not let you in. It sent no code, so there is no token.",
    );
  }
  // Cut, because they may come from an address, and anybody can write a long text into that.
  return new Problem(
    `The issuer refused: ${String(error).slice(0, 80)}`,
    String(description ?? "").slice(0, 300),
  );
}

function unexpected(url, response) {
  const Kind = response.status === 503 ? OutOfService : Problem;
  return new Kind("The issuer's answer cannot be used", `${url} answered ${response.status}.`);
}

function redirectUri() {
  return `${location.origin}/callback`;
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
