// How does a page get its message, and how does it show the request and the answer?

import { outcome } from "./answer.js";
import { READABLE, getMessage } from "./api.js";
import { copies } from "./copies.js";
import { seenByApi } from "./lessons.js";
import { breakIt } from "./mistakes.js";
import { patiently } from "./patience.js";
import { LoginRequired } from "./problem.js";
import { proofDetails } from "./proof.js";
import { raw } from "./raw.js";
import { reasons } from "./reason.js";
import { renewalFailed } from "./renewal.js";
import { decode, explainClaims, explainHeader, shortened } from "./token.js";
import {
  button,
  copyButton,
  disclosure,
  el,
  jwtParts,
  replaceKeepingOpen,
  table,
} from "./view.js";

const WHERE_TOKENS_GO = {
  Bearer: "The token goes into this header and nowhere else: addresses end up in logs.",
  DPoP: "The token is bound to a key (DPoP, RFC 9449). The second header has a proof that this browser has that key.",
};

/**
 * Get a message and show it with the request, the answer and the token. `repeated`: a person asked
 * for it once more. Throws LoginRequired if a login would help and was not tried yet, as `mayLogIn`
 * says.
 */
export async function showMessage(place, name, { withToken, repeated, ...context }) {
  const { login, mayLogIn, again } = context;
  // What is there stays until the next answer, so that nothing jumps.
  const waitHere = (repeated && place.querySelector(".pending")) || place;
  const { config } = context;
  const exchange = await patiently(waitHere, "Asking the API…", async (signal) => {
    const options = { mayLogIn, signal };
    const last = await converse(config.apiUrl, name, withToken ? login : null, options);
    const seen = await seenByApi(last, config);
    const why = last.answer?.ok === false ? await reasons(last, seen, config) : [];
    return { ...last, seen, why };
  });
  if (!place.isConnected) return; // another page was opened in the meantime
  const { request, answer } = exchange;
  const repeat = button("Send it again", again);
  replaceKeepingOpen(place, [
    outcome(exchange, { note: exchange.note, wanted: wanted(name, config) }),
    el("p", { class: "actions" }, repeat, wayOut(answer, context)),
    el("div", { class: "pending" }),
    exchange.notRenewed ? notRenewed(exchange.notRenewed, context) : null,
    exchange.why.length ? disclosure("Why it was refused", true, exchange.why) : null,
    exchange.refused ? beforeThat(exchange.refused) : null,
    sent(request),
    answer ? received(answer) : null,
    request.token ? breakIt(name, context) : null,
    raw(exchange, exchange.seen),
    request.token
      ? tokenDetails(
          request.token,
          "The token",
          "Only the issuer can sign it, and the API checks that.",
        )
      : null,
    request.proof ? proofDetails(request) : null,
    // Only then has the API seen the proof, and refuses a copy of it.
    request.proof && answer.acceptsToken ? copies(request) : null,
  ]);
  if (repeated) repeat.focus({ preventScroll: true });
}

/**
 * Ask the API. If it refuses the token, get a new one and ask once more. Return the last exchange,
 * with the refused one before it as `refused`, and a `note` if no new token could be had. It has
 * `notRenewed` if its token expires soon, and no other could be had.
 */
async function converse(apiUrl, name, login, { mayLogIn, signal }) {
  const tokens = await login?.accessToken();
  const exchange = await getMessage(apiUrl, name, tokens, signal);
  if (login === null || !exchange.answer?.refusesToken) {
    return { ...exchange, notRenewed: tokens?.notRenewed };
  }
  // The issuer may have changed its key: so try one new token, but not a third.
  try {
    const second = await getMessage(apiUrl, name, await login.renew(), signal);
    return { ...second, refused: exchange };
  } catch (problem) {
    if (problem instanceof LoginRequired && mayLogIn) throw problem;
    return { ...exchange, note: `A new token could not be had: ${problem.message}` };
  }
}

/** Return the permission that a message asks for, if this page was told. */
function wanted(name, { adminPermission }) {
  return name === "admin" ? (adminPermission ?? null) : null;
}

function wayOut(answer, { loginButton, leave }) {
  if (answer?.status === 401) return loginButton();
  return answer?.status === 403
    ? button("Log in as somebody else", () => leave({ anew: true }))
    : null;
}

function notRenewed(problem, { config, login, loginButton }) {
  return renewalFailed(problem, {
    kept: login.tokens !== null,
    lessons: config.lessons,
    remedy: problem instanceof LoginRequired ? loginButton() : null, // or "Send it again"
  });
}

function beforeThat(exchange) {
  return el(
    "div",
    { class: "notice", "data-testid": "refused-before" },
    el("p", {}, "Before that, the API refused the token that this page had: ", exchange.answer.statusLine),
    el(
      "p",
      {},
      "So this page got a new one silently, and asked again. The issuer may have changed its key, or the token had expired. ",
      el("code", {}, new Map(exchange.answer.headers).get("www-authenticate") ?? ""),
    ),
  );
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
  );
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
    el("p", { class: "actions" }, copyButton("Copy the token", token)),
    table("Header", ["Parameter", ...columns.slice(1)], explainHeader(parts.header)),
    table("Payload", columns, explainClaims(parts.payload)),
  );
}
