// How does a page get its message, and how does it show the request and the answer?

import { READABLE, getMessage } from "./api.js";
import { copies } from "./copies.js";
import { LoginRequired } from "./problem.js";
import { proofDetails } from "./proof.js";
import { decode, explainClaims, explainHeader, shortened } from "./token.js";
import {
  alert,
  announce,
  button,
  copyButton,
  disclosure,
  el,
  jwtParts,
  table,
  waiting,
} from "./view.js";

const EXPLANATIONS = {
  401: "A token was sent, and the API does not accept it. Why is in the API's log: telling a stranger would help them guess.",
  403: "Your token is good: the API knows who you are. What it asks for here is a permission that the token lacks.",
  404: "The API has no such page. Is that the right API?",
  429: "That was too often.",
  503: "The API could not get the issuer's keys, so it cannot tell a good token from a bad one.",
};

const REFUSED_PROOF =
  "The API does not accept the proof that came with the token. Is this machine's clock right?";

const ONLY_BOUND =
  "The API accepts only tokens that are bound to a key (DPoP, RFC 9449). Switch on \"Bind my tokens to this browser\" at the top of this page.";

const WHERE_TOKENS_GO = {
  Bearer: "The token goes into this header and nowhere else: addresses end up in logs.",
  DPoP: "The token is bound to a key (DPoP, RFC 9449). The second header has a proof that this browser has that key.",
};

/**
 * Get a message and show it with the request, the answer and the token. Throws LoginRequired if a
 * login would help and was not tried yet, as `mayLogIn` says.
 */
export async function showMessage(
  place,
  name,
  { withToken, apiUrl, login, mayLogIn, again, loginButton },
) {
  place.replaceChildren(waiting("Asking the API…"));
  let exchange = await getMessage(apiUrl, name, withToken ? await login.accessToken() : null);
  let note = null;
  if (withToken && exchange.answer?.refusesToken) {
    // The issuer may have changed its key: so try one new token, but not a third.
    try {
      exchange = await getMessage(apiUrl, name, await login.renew());
    } catch (problem) {
      if (problem instanceof LoginRequired && mayLogIn) throw problem;
      note = `A new token could not be had: ${problem.message}`;
    }
  }
  if (!place.isConnected) return; // another page was opened in the meantime
  const refused = exchange.answer?.status === 401;
  place.replaceChildren(
    outcome(exchange, note),
    el("p", { class: "actions" }, button("Send it again", again), refused ? loginButton() : null),
    sent(exchange.request),
    ...(exchange.answer ? [received(exchange.answer)] : []),
    ...(exchange.request.token
      ? [
          tokenDetails(
            exchange.request.token,
            "The token",
            "Only the issuer can sign it, and the API checks that.",
          ),
        ]
      : []),
    ...(exchange.request.proof ? [proofDetails(exchange.request)] : []),
    // Only then has the API seen the proof, and refuses a copy of it.
    ...(exchange.request.proof && exchange.answer.acceptsToken ? [copies(exchange.request)] : []),
  );
}

function outcome({ request, answer, problem }, note) {
  const path = new URL(request.url).pathname;
  const line = el(
    "p",
    { class: "line" },
    el("code", {}, `${request.method} ${path}`),
    el(
      "span",
      { class: answer?.ok ? "status good" : "status bad" },
      answer?.statusLine ?? "no answer",
    ),
  );
  if (problem)
    return el("div", { class: "outcome" }, line, alert(problem.message, problem.explanation));
  if (answer.ok && answer.message !== null) {
    announce(`The API answered: ${answer.message}`);
    return el(
      "div",
      { class: "outcome" },
      line,
      el("p", { class: "message", "data-testid": "message" }, answer.message),
    );
  }
  return el(
    "div",
    { class: "outcome" },
    line,
    alert(
      answer.message ?? `The API answered ${answer.statusLine}`,
      explain(request, answer),
      answer.status === 403 ? permissions(request.token) : null,
      note && el("p", {}, note),
    ),
  );
}

function explain({ scheme }, answer) {
  if (answer.refusesProof) return REFUSED_PROOF;
  if (answer.acceptsOnlyBound && scheme === "Bearer") return ONLY_BOUND;
  const explanation =
    EXPLANATIONS[answer.status] ??
    (answer.ok || answer.status < 500
      ? "That is not an answer that this page knows."
      : "The API failed. Its log says why.");
  return answer.retryAfter ? `${explanation} Try again in ${answer.retryAfter} s.` : explanation;
}

function permissions(token) {
  const claims = decode(token ?? "")?.payload;
  const rows = explainClaims({ permissions: claims?.permissions ?? [] });
  return el("p", {}, "The permissions in it: ", el("code", {}, rows[0][1]));
}

function sent(request) {
  const { method, url, token, scheme, proof, repeated } = request;
  const lines = [
    `${method} ${url}`,
    ...(token === null ? [] : [`Authorization: ${scheme} ${shortened(token)}`]),
    ...(proof === null ? [] : [`DPoP: ${shortened(proof)}`]),
  ];
  return disclosure(
    "What was sent",
    true,
    el("pre", {}, lines.join("\n")),
    el(
      "p",
      { class: "hint" },
      token === null
        ? "No Authorization header: nobody is asked who they are."
        : WHERE_TOKENS_GO[scheme],
    ),
    repeated
      ? el(
          "p",
          { class: "hint", "data-testid": "repeated" },
          "It was sent twice: the first time, the API answered that it wants its nonce in the proof.",
        )
      : null,
    proof === null ? inTerminal(request) : null,
  );
}

function inTerminal({ url, token }) {
  if (token === null) {
    return [el("p", {}, "The same in a terminal:"), el("pre", {}, `curl -i ${url}`)];
  }
  const curl = `TOKEN='the token'\ncurl -i ${url} \\\n  -H "Authorization: Bearer $TOKEN"`;
  return [
    el("p", {}, "The same in a terminal, with the token that the button below copies:"),
    el("pre", {}, curl),
    copyButton("Copy the token", token),
  ];
}

function received(answer) {
  const headers = answer.headers.map(([name, value]) => [name, value, READABLE[name]]);
  return disclosure(
    "What came back",
    true,
    el("pre", {}, `${answer.statusLine}\n\n${answer.text}`),
    table("Headers of the answer", ["Header", "Value", "What it is for"], headers),
  );
}

/** Return the decoded token, claim by claim. `trust` tells the person why to believe it. */
export function tokenDetails(token, summary, trust) {
  const parts = decode(token);
  if (parts === null) {
    return disclosure(summary, false, el("p", {}, "It is no JWT, so only its issuer can read it."));
  }
  const columns = ["Claim", "Value", "What it is for"];
  return disclosure(
    summary,
    false,
    el(
      "p",
      {},
      `A JWT: a header, a payload and a signature, with dots between them. Anybody who has it can read it, as this page does. ${trust}`,
    ),
    jwtParts(token),
    table("Header", ["Parameter", ...columns.slice(1)], explainHeader(parts.header)),
    table("Payload", columns, explainClaims(parts.payload)),
  );
}
