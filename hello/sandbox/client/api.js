// What is sent to the API, and what comes back?

import { askWithProof } from "./dpop.js";
import { ask } from "./problem.js";

// The headers that CORS lets a page read, and what each is for. The API sends more of them.
export const READABLE = {
  "content-type": "What the body is written in.",
  "cache-control": "Whether anybody may keep a copy.",
  "www-authenticate": "What to do about the refusal, for programs (RFC 6750).",
  "retry-after": "How many seconds to wait before trying again.",
  "dpop-nonce": "What the next proof must contain (RFC 9449).",
  "x-request-id": "The name of this request in the API's log.",
};

/**
 * GET a message. Return { request, answer }, or { request, problem } if no answer came. `tokens` is
 * { accessToken, key }, or null if none is to be sent.
 */
export async function getMessage(apiUrl, name, tokens, signal) {
  const url = `${apiUrl}/api/messages/${name}`;
  const { accessToken: token, key } = tokens ?? { accessToken: null, key: null };
  const scheme = key === null ? "Bearer" : "DPoP";
  const request = { method: "GET", url, token, key, scheme, proof: null, repeated: false };
  const headers = token === null ? {} : { Authorization: `${scheme} ${token}` };
  const options = { headers, cache: "no-store", signal };
  try {
    if (key === null) {
      const { response, text } = await ask("API", url, options);
      return { request, answer: read(response, text) };
    }
    const { response, text, ...sent } = await askWithProof("API", url, options, { key, token });
    return { request: { ...request, ...sent }, answer: read(response, text) };
  } catch (problem) {
    return { request, problem };
  }
}

/** Send what a thief of a token could send. Return the answer. Throws Problem. */
export async function sendCopy(url, headers) {
  const { response, text } = await ask("API", url, { headers, cache: "no-store" });
  return read(response, text);
}

function read(response, text) {
  const headers = Object.keys(READABLE)
    .filter((name) => response.headers.has(name))
    .map((name) => [name, response.headers.get(name)]);
  const challenge = response.headers.get("www-authenticate") ?? "";
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy in front of the API answered, not the API.
  }
  return {
    ok: response.ok,
    // With a 403 the API says that the token is good, if not for this message (RFC 6750 §3.1).
    acceptsToken: response.ok || response.status === 403,
    status: response.status,
    statusLine: `${response.status} ${response.statusText}`.trim(),
    headers,
    allHeaders: [...response.headers], // all that CORS lets this page read
    text: body === null ? text : JSON.stringify(body, null, 2),
    message: words(response.ok ? body?.text : body?.message),
    refusesToken: response.status === 401 && /error="?invalid_token/.test(challenge),
    acceptsOnlyBound:
      response.status === 401 && /\bDPoP /.test(challenge) && !/\bBearer /.test(challenge),
    refusesProof: /error="?invalid_dpop_proof/.test(challenge),
    retryAfter: response.headers.get("retry-after"),
  };
}

function words(value) {
  return typeof value === "string" ? value : null;
}
