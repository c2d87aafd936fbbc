// What does a proof say, and how does it fit the token?

import { decode, explainProof } from "./token.js";
import { disclosure, el, jwtParts, table } from "./view.js";

/** Return the proof of a request, claim by claim. */
export function proofDetails({ token, key, proof }) {
  const [header, payload] = explainProof(decode(proof));
  const [fit, verdict] = compare(key.thumbprint, decode(token)?.payload);
  return disclosure(
    "The proof",
    false,
    el(
      "p",
      {},
      "A JWT too. This page makes one for each request, and signs it with a key that this browser keeps. No script can read the private half of that key, not even this page's.",
    ),
    jwtParts(proof),
    table("Header of the proof", ["Parameter", "Value", "What it is for"], header),
    el(
      "p",
      { "data-testid": "thumbprint", "data-fit": fit },
      "The thumbprint of jwk (RFC 7638) is ",
      el("code", {}, key.thumbprint),
      `. ${verdict}`,
    ),
    table("Payload of the proof", ["Claim", "Value", "What it is for"], payload),
  );
}

/** Say whether a token with these claims is bound to the key of a proof (RFC 9449 §6.1). */
function compare(thumbprint, claims) {
  if (claims === undefined) return ["unknown", "Only the issuer can read which one the token has."];
  return claims.cnf?.jkt === thumbprint
    ? ["yes", "The token has the same one in its claim cnf, as jkt. So this proof fits it."]
    : ["no", "The token does not have it in its claim cnf, as jkt. So this proof does not fit it."];
}
