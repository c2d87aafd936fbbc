// What does a WWW-Authenticate header say? (RFC 9110 §11.6.1, RFC 6750 §3)

import { el, table } from "./view.js";

const PARAMETERS = {
  realm: "What the credentials are for: a name that the API chose.",
  error: "What is wrong, for programs.",
  error_description: "The same for people. It never says more than a stranger may know.",
  scope: "The scopes that the request needs.",
  algs: "How a proof may be signed (RFC 9449).",
  resource_metadata: "Where a client finds out which issuer this API trusts (RFC 9728).",
  acr_values: "How strong the login has to be (RFC 9470).",
  max_age: "How many seconds old the login may be (RFC 9470).",
};

const ERRORS = {
  invalid_token: "A token came, and is not accepted. Get another one.",
  insufficient_scope: "The token is good, and grants too little. A new one like it will not help.",
  invalid_dpop_proof: "The proof that came with the token is missing, or not accepted.",
  use_dpop_nonce: "The proof has to contain the nonce of this answer. Send it once more.",
  insufficient_user_authentication: "The person has to log in once more, or in a stronger way.",
};

/** Return the challenges of a header: [{ scheme, parameters: [[name, value]] }]. */
export function parseChallenges(header) {
  const item = /\s*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?[\s,]*/y;
  const challenges = [];
  for (let found = item.exec(header); found !== null; found = item.exec(header)) {
    const [, name, quoted, plain] = found;
    const value = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain;
    if (value === undefined) challenges.push({ scheme: name, parameters: [] });
    else challenges.at(-1)?.parameters.push([name, value]);
  }
  return challenges;
}

/** Return a header taken apart, one table for each way to authenticate. */
export function explainChallenges(header) {
  return parseChallenges(header).map(({ scheme, parameters }) =>
    el(
      "div",
      { "data-challenge": scheme },
      table(
        `WWW-Authenticate: ${scheme}`,
        ["Parameter", "Value", "What it is for"],
        parameters.map(([name, value]) => [name, value, purpose(name, value)]),
      ),
    ),
  );
}

function purpose(name, value) {
  if (name === "error" && Object.hasOwn(ERRORS, value)) return ERRORS[value];
  return Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : "A parameter of the API's own.";
}
