// What happened in each step of a login, who could see it, and why is it so?

import { forgetSteps, steps, timeline } from "./timeline.js";
import { readableTime } from "./token.js";
import { button, el } from "./view.js";

const IN_AN_ADDRESS =
  "You, in the address bar, the browser with its history and extensions, and the server that it goes to, with its log.";
const DIRECT =
  "This page and the issuer alone. It is a request of its own, so it is in no address, and in no history.";

const KINDS = {
  authorize: {
    title: "This page sends you to the issuer",
    who: IN_AN_ADDRESS,
    why: "The page has made up a secret, the code_verifier. Here it shows only the SHA-256 of it, the code_challenge (PKCE, RFC 7636). So whoever sees this cannot finish the login.",
  },
  callback: {
    title: "The issuer sends you back with a code",
    who: `${IN_AN_ADDRESS} This page took it out of the address at once.`,
    why: "A code works once, for a minute, and only with the code_verifier. The state is the one that was sent, so this answer belongs to a login that began in this browser.",
  },
  refused: {
    title: "The issuer sends you back with an error",
    who: IN_AN_ADDRESS,
    why: "No code came back, so there is nothing to exchange for a token. access_denied means that you cancelled, or that the issuer does not let you in.",
  },
  token: {
    title: "This page exchanges the code for tokens",
    who: DIRECT,
    why: "The issuer computes the SHA-256 of the code_verifier, and compares it with the code_challenge that it got first. So it knows that whoever began the login is who ends it.",
  },
  renewal: {
    title: "This page asks for a new code, in a hidden frame",
    who: "The issuer, and this page. Nobody sees the frame, and its address is in no history.",
    why: "prompt=none forbids the issuer to ask you anything. It knows you by a cookie of its own, which no script of this page can read. If it does not, or if the browser keeps the cookie back because the issuer is another site, it answers login_required.",
  },
  logout: {
    title: "This page sends you to the issuer, to log out",
    who: IN_AN_ADDRESS,
    why: "This page has thrown its tokens away. That ends nothing at the issuer, which would let you in again without a question. The id_token_hint says whose session is to end. An API that was shown a token before accepts a copy of it until it expires.",
  },
};

export function showSteps(place) {
  const show = () => {
    if (!place.isConnected) timeline.removeEventListener("change", show);
    else place.replaceChildren(...listed(steps()));
  };
  timeline.addEventListener("change", show);
  show();
}

function listed(all) {
  const known = all.filter((step) => Object.hasOwn(KINDS, step.kind));
  if (known.length === 0) {
    return [
      el("p", { "data-testid": "no-steps" }, "Nothing has happened in this tab so far. Log in, and come back."),
    ];
  }
  return [
    el("ol", { class: "steps timeline" }, known.map(step)),
    el(
      "p",
      { class: "actions" },
      button("Forget these steps", () => {
        forgetSteps();
        document.querySelector("h1").focus();
      }),
    ),
  ];
}

function step({ kind, at, sent, received }) {
  const { title, who, why } = KINDS[kind];
  return el(
    "li",
    { "data-kind": kind },
    el("h2", {}, title),
    el("p", { class: "hint" }, readableTime(at / 1000)),
    message("Sent", sent),
    received ? message("Came back", received) : null,
    el(
      "dl",
      { class: "facts" },
      el("div", {}, el("dt", {}, "Who could see it"), el("dd", {}, who)),
      el("div", {}, el("dt", {}, "Why it is so"), el("dd", {}, why)),
    ),
  );
}

function message(label, { line, fields }) {
  const text = [line, ...fields.map(([name, value]) => `  ${name} = ${value}`)].join("\n");
  return el("figure", {}, el("figcaption", {}, label), el("pre", {}, text));
}
