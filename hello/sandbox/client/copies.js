// What is a stolen copy of a bound token worth?

import { sendCopy } from "./api.js";
import { Problem } from "./problem.js";
import { curl } from "./raw.js";
import { shortened } from "./token.js";
import { announce, button, copyButton, disclosure, el, unseen } from "./view.js";

/** Return what somebody can try who has copied a request's token, and what the API answers. */
export function copies(request) {
  const { token, proof } = request;
  return disclosure(
    "What a copy of the token is worth",
    false,
    el(
      "p",
      {},
      "Nothing. A thief can copy what was sent, but not the key that signed the proof. These are the thief's three ways. Send each from here, or from a terminal.",
    ),
    el(
      "ol",
      { class: "copies" },
      attempt(request, {
        id: "bearer",
        name: "As a bearer token",
        why: "The claim cnf in the token says that its sender must prove to have a key. A bearer request proves nothing.",
        headers: { Authorization: `Bearer ${token}` },
      }),
      attempt(request, {
        id: "unproved",
        name: "Without a proof",
        why: "The scheme is right, but there is no proof. To make one, the thief needs the key.",
        headers: { Authorization: `DPoP ${token}` },
      }),
      attempt(request, {
        id: "replayed",
        name: "With a copy of the proof",
        why: "This page has used that proof. The API remembers its jti, and accepts it no second time.",
        headers: { Authorization: `DPoP ${token}`, DPoP: proof },
      }),
    ),
  );
}

function attempt({ url, token, proof }, { id, name, why, headers }) {
  const result = el(
    "p",
    { class: "result", "data-testid": `${id}-answer` },
    "The API refuses it: 401.",
  );
  return el(
    "li",
    {},
    el("p", {}, el("strong", { id: `copy-${id}` }, name)),
    el("p", {}, why),
    el(
      "pre",
      {},
      curl(url, headers).replaceAll(token, shortened(token)).replaceAll(proof, shortened(proof)),
    ),
    el(
      "p",
      { class: "actions", role: "group", "aria-labelledby": `copy-${id}` },
      copyButton("Copy this command", curl(url, headers), name),
      button(["Send it from here", unseen(name)], () => send(url, headers, result)),
    ),
    result,
  );
}

async function send(url, headers, result) {
  result.textContent = "Sending…";
  try {
    const { acceptsToken, statusLine, headers: received } = await sendCopy(url, headers);
    const challenge = new Map(received).get("www-authenticate") ?? "";
    result.replaceChildren(
      "The API answered ",
      el("strong", {}, statusLine),
      acceptsToken ? ". It does not check what the token is bound to." : ". ",
      el("code", {}, challenge),
    );
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    result.textContent = `${problem.message} ${problem.explanation}`;
  }
  announce(result.textContent);
}
