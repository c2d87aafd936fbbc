// What did the API say, in words that a person can act on?

import { decode, explainClaims } from "./token.js";
import { alert, announce, el } from "./view.js";

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

/**
 * Return the status and the message of an exchange. `wanted` is the permission that the message asks
 * for, if this page knows it. `note` is what else there is to say, or null.
 */
export function outcome({ request, answer, problem }, { wanted = null, note = null } = {}) {
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
      answer.status === 403 ? permissions(request.token, wanted) : null,
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

function permissions(token, wanted) {
  const claims = decode(token ?? "")?.payload;
  const rows = explainClaims({ permissions: claims?.permissions ?? [] });
  return el(
    "p",
    { "data-testid": "lacking" },
    ...(wanted === null ? [] : ["This message asks for ", el("code", {}, wanted), ". "]),
    "The permissions in your token: ",
    el("code", {}, rows[0][1]),
  );
}
