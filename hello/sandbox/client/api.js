// What is sent to the API, and what comes back?

import { ask } from "./problem.js";

// The headers that CORS lets a page read, and what each is for. The API sends more of them.
export const READABLE = {
  "content-type": "What the body is written in.",
  "cache-control": "Whether anybody may keep a copy.",
  "www-authenticate": "What to do about the refusal, for programs (RFC 6750).",
  "retry-after": "How many seconds to wait before trying again.",
};

/**
 * GET a message. Return { request, answer }, or { request, problem } if no answer came.
 * `token` is null if none is to be sent.
 */
export async function getMessage(apiUrl, name, token) {
  const url = `${apiUrl}/api/messages/${name}`;
  const request = { method: "GET", url, token };
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  try {
    const { response, text } = await ask("API", url, { headers, cache: "no-store" });
    return { request, answer: read(response, text) };
  } catch (problem) {
    return { request, problem };
  }
}

function read(response, text) {
  const headers = Object.keys(READABLE)
    .filter((name) => response.headers.has(name))
    .map((name) => [name, response.headers.get(name)]);
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // A proxy in front of the API answered, not the API.
  }
  return {
    ok: response.ok,
    status: response.status,
    statusLine: `${response.status} ${response.statusText}`.trim(),
    headers,
    text: body === null ? text : JSON.stringify(body, null, 2),
    message: words(response.ok ? body?.text : body?.message),
    refusesToken:
      response.status === 401 &&
      /error="?invalid_token/.test(response.headers.get("www-authenticate") ?? ""),
    retryAfter: response.headers.get("retry-after"),
  };
}

function words(value) {
  return typeof value === "string" ? value : null;
}
