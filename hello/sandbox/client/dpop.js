// How does the page prove that it has the key that a token is bound to? (DPoP: RFC 9449)

import { base64url, random, sha256 } from "./encoding.js";
import { ask } from "./problem.js";

export const ALGORITHM = "ES256";
const KEY = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };

// Origin -> the nonce that a server there sent last (§8.2). A reload costs one repeated request.
const nonces = new Map();

/**
 * Return a new key: { privateKey, jwk, thumbprint }. The browser signs with the private half, and
 * gives it to nobody, not even to this page.
 */
export async function newKey() {
  const extractable = false; // this concerns the private half; the public one always is
  const { privateKey, publicKey } = await crypto.subtle.generateKey(KEY, extractable, ["sign"]);
  const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  const jwk = { crv, kty, x, y }; // these members, in this order, make the thumbprint (RFC 7638 §3)
  return { privateKey, jwk, thumbprint: await sha256(JSON.stringify(jwk)) };
}

/**
 * Fetch from another server, with a proof. If the server wants its nonce in the proof, send the
 * request once more. Return { response, text, proof, repeated }.
 *
 * `token` is the access token that the request carries, or null if it carries none.
 */
export async function askWithProof(who, url, options, { key, token = null }) {
  const first = await send(who, url, options, key, token);
  if (!wantsNonce(first)) return { ...first, repeated: false };
  return { ...(await send(who, url, options, key, token)), repeated: true };
}

async function send(who, url, options, key, token) {
  const { origin } = new URL(url);
  const proof = await makeProof(key, options.method ?? "GET", url, token, nonces.get(origin));
  const headers = { ...options.headers, DPoP: proof };
  const { response, text } = await ask(who, url, { ...options, headers });
  const nonce = response.headers.get("dpop-nonce");
  if (nonce !== null) nonces.set(origin, nonce);
  return { response, text, proof };
}

/** Return a proof for one request (§4.2). */
async function makeProof(key, method, url, token, nonce) {
  const { origin, pathname } = new URL(url);
  const header = { typ: "dpop+jwt", alg: ALGORITHM, jwk: key.jwk };
  const claims = {
    jti: random(),
    htm: method,
    htu: origin + pathname,
    iat: Math.floor(Date.now() / 1000),
    ...(token === null ? {} : { ath: await sha256(token) }),
    ...(nonce === undefined ? {} : { nonce }),
  };
  const encode = (part) => base64url(new TextEncoder().encode(JSON.stringify(part)));
  const input = `${encode(header)}.${encode(claims)}`;
  const bytes = new TextEncoder().encode(input);
  const signature = await crypto.subtle.sign(SIGNATURE, key.privateKey, bytes);
  return `${input}.${base64url(new Uint8Array(signature))}`;
}

/** Return whether a server refused a proof because its nonce is missing or old, and sent another. */
function wantsNonce({ response, text }) {
  if (!response.headers.has("dpop-nonce")) return false;
  if (response.status === 401) {
    const challenge = response.headers.get("www-authenticate") ?? "";
    return /error="?use_dpop_nonce/.test(challenge); // an API (§9)
  }
  return response.status === 400 && /"error"\s*:\s*"use_dpop_nonce"/.test(text); // an issuer (§8)
}
