// Which mistakes can a person make on purpose, and what does the API answer?

import { getMessage } from "./api.js";
import { issuerSwitches } from "./issuer.js";
import { lesson, seenByApi } from "./lessons.js";
import { patiently } from "./patience.js";
import { LoginRequired, Problem } from "./problem.js";
import { raw } from "./raw.js";
import { reasons } from "./reason.js";
import { renewalFailed } from "./renewal.js";
import { alert, announce, button, disclosure, el } from "./view.js";

// `make` returns the token to send. Those without it are made by the sandbox's issuer.
const MISTAKES = [
  {
    id: "none",
    name: "No token",
    why: "Nobody is asked who they are: the API says how to authenticate, and no error.",
    make: () => null,
  },
  {
    id: "damaged",
    name: "Damaged",
    why: "One character of the signature is another one. So it fits no key.",
    make: ({ accessToken }) => damaged(accessToken),
  },
  {
    id: "id_token",
    name: "The ID token",
    why: "It is signed by the same issuer, about the same person, and is for this page: its audience is the client. An API that took it would take any page's.",
    make: (_tokens, login) => login.idToken,
  },
  { id: "expired", name: "Expired", why: "It was good until an hour ago." },
  {
    id: "audience",
    name: "Another API's",
    why: "The issuer signed it for another API. That one could use it here if this API took it.",
  },
  {
    id: "signature",
    name: "Forged",
    why: "Somebody else signed it, and wrote the issuer's key into it as kid.",
  },
  {
    id: "unknown_key",
    name: "Unknown key",
    why: "It names a key that the issuer does not publish. It may be new, so the API asks the issuer, at most once in ten seconds. If the issuer is off then, nobody knows: that is a 503.",
  },
  {
    id: "bound",
    name: "Another key's",
    why: "It is bound to a key that this browser does not have (cnf, RFC 9449). So it is of no use here.",
  },
];

/** Return the panel of the page with a message. `login` has the person's tokens. */
export function breakIt(name, { config, login, loginButton }) {
  const result = el("div", { class: "broken", "data-testid": "broken" });
  const renewal = el("div", {});
  const life = el("p", { class: "hint", role: "timer" });
  const offered = MISTAKES.filter(({ make }) => make || config.lessons);
  const panel = disclosure(
    "Break it",
    false,
    el("p", {}, "Send the same request with a mistake, and see what the API says, and why."),
    el(
      "p",
      { class: "actions", role: "group", "aria-label": "Mistakes" },
      offered.map((mistake) =>
        button(mistake.name, () => send(mistake, name, { config, login }, result)),
      ),
    ),
    result,
    config.lessons ? el("div", { class: "issuer" }) : null,
    renewal,
    life,
  );
  // The switches are asked for once a person wants to see them.
  panel.addEventListener("toggle", async () => {
    const place = panel.querySelector(".issuer");
    if (!panel.open || !place || place.hasChildNodes()) return;
    const changed = (which) => which === "shortLived" && renew(renewal, login, loginButton);
    place.replaceChildren(await issuerSwitches(changed).catch(({ message }) => message));
    watch(panel, life, login);
  });
  return panel;
}

/** Get tokens that live as long as the issuer's do now. If that fails, say so in `place`. */
async function renew(place, login, loginButton) {
  let told = [];
  try {
    await login.renew();
    if (place.hasChildNodes()) announce("The silent renewal has brought a new token.");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const again = () => button("Try again", () => renew(place, login, loginButton));
    const remedy = problem instanceof LoginRequired ? loginButton() : again();
    told = [renewalFailed(problem, { kept: login.tokens !== null, lessons: true, remedy })];
  }
  const hadKeyboard = place.contains(document.activeElement);
  place.replaceChildren(...told);
  const next = place.querySelector("button") ?? document.getElementById("shortLived-switch");
  if (hadKeyboard) next.focus({ preventScroll: true });
}

async function send(mistake, name, { config, login }, result) {
  // A place of its own: once another mistake is made, nobody sees this one's late answer.
  const place = el("div", {});
  result.replaceChildren(place);
  try {
    const { exchange, seen, why } = await patiently(place, `${mistake.name}: asking the API…`, (signal) =>
      make(mistake, name, { config, login, signal }),
    );
    if (!place.isConnected) return;
    const { answer } = exchange;
    place.replaceChildren(
      el(
        "p",
        { class: "line" },
        el("strong", {}, mistake.name),
        el("span", { class: answer.ok ? "status good" : "status bad" }, answer.statusLine),
      ),
      el("p", {}, `“${answer.message ?? answer.text}” `, mistake.why),
      ...why,
      raw(exchange, seen, `Raw: ${mistake.name}`),
    );
    announce(`${mistake.name}: the API answered ${answer.statusLine}`);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    place.replaceChildren(alert(problem.message, problem.explanation));
  }
}

/** Make a mistake. Return the exchange, and what is known about the refusal. Throws Problem. */
async function make(mistake, name, { config, login, signal }) {
  const tokens = login.tokens;
  if (tokens === null) throw new LoginRequired(); // a renewal has failed since the page was shown
  const token = mistake.make ? mistake.make(tokens, login) : await flawed(mistake.id, tokens.key);
  const sent = token === null ? null : { accessToken: token, key: tokens.key };
  const exchange = await getMessage(config.apiUrl, name, sent, signal);
  if (exchange.problem) throw exchange.problem;
  const seen = await seenByApi(exchange, config);
  return { exchange, seen, why: await reasons(exchange, seen, config, mistake.name) };
}

async function flawed(flaw, key) {
  const made = await lesson("flawed-token", { flaw, key: key?.thumbprint ?? null });
  if (made === null) throw new Problem("The sandbox does not make such a token");
  return made.token;
}

/** Change a character in the middle of the signature, where each counts. */
function damaged(token) {
  const at = token.length - 20;
  return token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
}

/** Show how long a short-lived token lives, while the panel is on the screen. */
function watch(panel, life, login) {
  const timer = setInterval(() => {
    if (!panel.isConnected) clearInterval(timer);
    const { lifetime = 0, expiresAt = 0 } = login.tokens ?? {};
    const left = Math.round((expiresAt - Date.now()) / 1000);
    const short = lifetime > 0 && lifetime < 120_000;
    const told =
      left > 0
        ? `Your token has ${left} s to live. “Send it again” replaces it in time.`
        : "Your token has expired. “Send it again” gets a new one first.";
    life.textContent = short ? told : "";
  }, 1000);
}
