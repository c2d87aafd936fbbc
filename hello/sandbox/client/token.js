// What does a token contain, and what is each part for?

import { el } from "./view.js";

const HEADER = {
  alg: "How the token is signed. Whoever checks it has a list of what will do.",
  typ: "What kind of token this is.",
  kid: "Which of the issuer's keys signed it.",
};

const CLAIMS = {
  iss: "Issuer: who made and signed the token.",
  sub: "Subject: whom the token is about. It never changes, unlike a name or an address.",
  aud: "Audience: whom the token is for. Everybody else must refuse it.",
  exp: "Expires: from then on nobody accepts it.",
  iat: "Issued at.",
  nbf: "Not before: it counts from then on.",
  azp: "Authorized party: the client that the token was given to.",
  client_id: "The client that the token was given to.",
  gty: "Grant type: how the client got the token.",
  jti: "The token's own number.",
  scope: "What the client may do in the person's name.",
  permissions: "What the person may do. An API can ask for one of these.",
  cnf: "Confirmation: the key that whoever shows the token must have.",
  nonce: "Made up by this page for one login, so that an old token cannot be slipped in.",
  sid: "The login session at the issuer.",
  auth_time: "When the person last logged in.",
  acr: "How strong the login was.",
  amr: "By what means the person logged in.",
  at_hash: "Ties the ID token to its access token.",
  c_hash: "Ties the ID token to its code.",
  name: "Full name.",
  given_name: "First name.",
  family_name: "Last name.",
  nickname: "A short name.",
  picture: "The address of a picture. This page loads nothing from strangers, so it is not shown.",
  email: "E-mail address.",
  email_verified: "Whether the issuer has checked that the address is theirs.",
  updated_at: "When these details last changed.",
  org_id: "The organization that the person logged in to.",
  org_name: "The organization's name.",
};

const PROOF_HEADER = {
  typ: "That this is a proof, and not a token.",
  alg: "How the proof is signed.",
  jwk: "The public half of the key. Its thumbprint must be the token's cnf.jkt.",
};

const PROOF_CLAIMS = {
  jti: "The proof's own number. The API accepts it once.",
  htm: "The method of the request. For another one, this proof is no good.",
  htu: "The address of the request. At another one, this proof is no good.",
  iat: "When it was made. After a few minutes it is too old.",
  ath: "A hash of the access token. With another token, this proof is no good.",
  nonce: "The last that the API sent, so that nobody can make proofs in advance.",
};

const TIMES = new Set(["exp", "iat", "nbf", "auth_time", "updated_at"]);

/** Return { header, payload } of a JWT (RFC 7519), unchecked, or null if it is not a JWT. */
export function decode(token) {
  try {
    const [header, payload, signature, ...rest] = token.split(".");
    if (signature === undefined || rest.length) return null;
    return { header: parse(header), payload: parse(payload) };
  } catch {
    return null;
  }
}

function parse(part) {
  const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
    c.charCodeAt(0),
  );
  const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError("no object");
  return value;
}

/** Return rows of [name, value, what it is for]. */
export function explainHeader(header) {
  return rows(header, HEADER, "A parameter of the issuer's own.");
}

/** Return rows of [name, value, what it is for]. */
export function explainClaims(claims) {
  return rows(claims, CLAIMS, "A claim of the issuer's own.");
}

/** Return the rows for a proof's header, and for its payload. */
export function explainProof({ header, payload }) {
  return [rows(header, PROOF_HEADER), rows(payload, PROOF_CLAIMS)];
}

function rows(object, purposes, otherwise) {
  return Object.entries(object).map(([name, value]) => [
    name,
    (TIMES.has(name) && readableTime(value)) || plain(value),
    Object.hasOwn(purposes, name) ? purposes[name] : otherwise,
  ]);
}

function plain(value) {
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) {
    return value.length ? value.join(", ") : "(none)";
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return a time in words, with its distance from now, or null if it is not a time. */
export function readableTime(value) {
  const time = new Date(typeof value === "number" ? value * 1000 : value);
  if (Number.isNaN(time.valueOf())) return null;
  const local = time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return el("time", { datetime: time.toISOString() }, `${local} (${distance(time)})`);
}

function distance(time) {
  const seconds = Math.round((time - Date.now()) / 1000);
  // A unit is used from two of it on, so that a day that has just begun is "24 hours".
  const [unit, size] = [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ].find(([name, size]) => Math.abs(seconds) >= 2 * size || name === "second");
  return new Intl.RelativeTimeFormat("en", { numeric: seconds === 0 ? "auto" : "always" }).format(
    Math.round(seconds / size),
    unit,
  );
}

/** Shorten a token, so that nobody can use one from a screenshot. */
export function shortened(token) {
  return token.length > 24 ? `${token.slice(0, 10)}…${token.slice(-4)}` : "…";
}
