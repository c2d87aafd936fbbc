// Which steps did the logins of this tab consist of?
//
// They are kept for this tab only (sessionStorage), because a login leaves this page and comes back.
// What is secret is cut before it is kept.

const KEY = "timeline";
const MAX_STEPS = 40;
const LONG = 24; // characters: what is not longer is not shown at all if it is secret
const SECRET = new Set([
  "code",
  "code_verifier",
  "state",
  "nonce",
  "access_token",
  "id_token",
  "refresh_token",
  "id_token_hint",
  "DPoP",
]);

/** Dispatches "change" when a step is added, or all are forgotten. */
export const timeline = new EventTarget();

/**
 * Remember a step. `sent` and `received` are { line, fields }: what it was, such as a method and an
 * address, and its parameters as an object. `received` is null if nothing came back to this page.
 */
export function note(kind, sent, received = null) {
  const step = { kind, at: Date.now(), sent: cut(sent), received: received && cut(received) };
  // Each load of a page asks whether somebody is logged in. Before a login, that is of no interest.
  const before = kind === "authorize" ? steps().filter((each) => !foundNobody(each)) : steps();
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...before, step].slice(-MAX_STEPS)));
  } catch {
    // The browser gives this page no room: the login goes on all the same.
  }
  timeline.dispatchEvent(new Event("change"));
}

/** Return the steps, the oldest first. Each is { kind, at, sent, received }. */
export function steps() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

function foundNobody({ kind, received }) {
  return kind === "renewal" && received?.fields.some(([name]) => name === "error");
}

export function forgetSteps() {
  sessionStorage.removeItem(KEY);
  timeline.dispatchEvent(new Event("change"));
}

/** Return an address as { line, fields }. */
export function visited(url, method = "GET") {
  const { origin, pathname, searchParams } = new URL(url);
  return { line: `${method} ${origin}${pathname}`, fields: Object.fromEntries(searchParams) };
}

function cut({ line, fields }) {
  const rows = Object.entries(fields).map(([name, value]) => [
    name,
    SECRET.has(name) ? middleCut(String(value)) : String(value).slice(0, 300),
  ]);
  return { line, fields: rows };
}

function middleCut(secret) {
  return secret.length > LONG ? `${secret.slice(0, 6)}…${secret.slice(-4)}` : "…";
}
