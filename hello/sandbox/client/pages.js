// What does each page say?

import { issuerSwitches } from "./issuer.js";
import { showMessage, tokenDetails } from "./message.js";
import { showSteps } from "./steps.js";
import { readableTime } from "./token.js";
import { el } from "./view.js";

/**
 * Path -> page. `show` fills an element. If several pages load at once, only the last one is seen,
 * because the elements of the others are no longer on the screen.
 */
export const PAGES = {
  "/": {
    title: "Home",
    lead: "This page logs you in, gets an access token, and shows it to an API. Each step is laid open: what was sent, what came back, and what the token says.",
    show: home,
  },
  "/profile": {
    title: "Profile",
    needsLogin: true,
    lead: "What the issuer told this page about you, in an ID token.",
    show: profile,
  },
  "/public": {
    title: "Public",
    lead: "A message for anybody. This page asks for it without a token.",
    show: (place, context) => showMessage(place, "public", { ...context, withToken: false }),
  },
  "/protected": {
    title: "Protected",
    needsLogin: true,
    lead: "A message for people who are logged in. The API wants an access token that it can trust.",
    show: (place, context) => showMessage(place, "protected", { ...context, withToken: true }),
  },
  "/admin": {
    title: "Admin",
    needsLogin: true,
    lead: "A message for administrators. The API can ask for a permission in the token, too.",
    show: (place, context) => showMessage(place, "admin", { ...context, withToken: true }),
  },
  "/login": {
    title: "Login",
    lead: "Each step of the logins in this tab: what was sent, what came back, who could see it, and why. Secrets are cut in the middle.",
    show: showSteps,
  },
};

export const NOT_FOUND = {
  title: "Not Found",
  lead: "There is nothing at this address.",
  show: (place) => place.replaceChildren(el("p", {}, el("a", { href: "/" }, "Go to Home"))),
};

export const CALLBACK = { title: "Logging in", lead: "The issuer sent you back with an answer." };

async function home(place, { config }) {
  const sandbox = isLoopback(config.issuer);
  place.replaceChildren(
    el("h2", {}, "Who is who"),
    el(
      "dl",
      { class: "parties" },
      party(
        "Client",
        location.origin,
        "This page. It gets tokens and uses them. It keeps them in memory, and nowhere else.",
      ),
      party(
        "Issuer",
        new URL(config.issuer).origin,
        "Knows the people. It logs them in, and signs tokens that say who they are.",
      ),
      party(
        "API",
        config.apiUrl,
        "Has the messages. It checks each token, and never sees a password.",
      ),
    ),
    el("h2", {}, "What to try"),
    sandbox
      ? el(
          "p",
          {},
          "The issuer runs on this machine: a sandbox. It lets you choose who you are, without a password.",
        )
      : null,
    el(
      "ol",
      { class: "steps" },
      step("/public", "Public", "Read the message that anybody may read."),
      step(
        "/protected",
        "Protected",
        "You are taken to the login, and back to the message. Then open “The token”: it says who made it, for whom, and how long it lasts.",
      ),
      step(
        "/login",
        "Login",
        "See what just happened: each step of the login, with what was sent and who could see it.",
      ),
      step(
        "/profile",
        "Profile",
        "See what the issuer says about you. That is another token, for this page instead of the API.",
      ),
      step(
        "/admin",
        "Admin",
        ...aboutAdmin(config, sandbox),
      ),
      el(
        "li",
        {},
        el("strong", {}, "Break it"),
        el(
          "p",
          {},
          "On Protected or Admin, send a damaged token, an expired one, or another API's. See the answer, and the reason in the API's log.",
        ),
      ),
      el(
        "li",
        {},
        el("strong", {}, "Bind my tokens to this browser"),
        el(
          "p",
          {},
          "Switch it on at the top, and open Protected again. Each request then comes with a proof, and the page shows what a stolen copy of the token is worth.",
        ),
      ),
      el(
        "li",
        {},
        el("strong", {}, "Reload"),
        el(
          "p",
          {},
          "The tokens are gone with the page's memory. The issuer still knows you, and gives out new ones without asking: a silent renewal.",
        ),
      ),
      el(
        "li",
        {},
        el("strong", {}, "Log out"),
        el(
          "p",
          {},
          "Now the issuer has forgotten you too, and Protected leads to the login again.",
        ),
      ),
    ),
  );
  if (config.lessons) {
    place.append(el("h2", {}, "The sandbox"), await issuerSwitches().catch(({ message }) => message));
  }
}

function aboutAdmin({ adminPermission }, sandbox) {
  const permission = (name) => el("code", {}, name);
  if (adminPermission) {
    const each = sandbox ? " Log in as each person: one is refused." : "";
    return ["The API asks for the permission ", permission(adminPermission), ".", each];
  }
  const open = "Every token is good for this one, until the API asks for a permission.";
  if (!sandbox) return [open, " Then a token without it is refused."];
  const setting = "ADMIN_PERMISSION=read:admin-messages";
  return [open, " Start it with ", permission(setting), ", and log in as each person."];
}

function party(name, address, text) {
  return el(
    "div",
    {},
    el("dt", {}, name),
    el("dd", {}, el("code", {}, address)),
    el("dd", {}, text),
  );
}

function step(href, name, ...text) {
  return el("li", {}, el("a", { href }, name), el("p", {}, text));
}

function profile(place, { login }) {
  const claims = login.person;
  const facts = [
    ["Name", claims.name],
    ["First name", claims.given_name],
    ["Last name", claims.family_name],
    ["Nickname", claims.nickname],
    ["E-mail", claims.email && email(claims)],
    ["Person’s identifier", el("code", {}, claims.sub)],
    ["Details last changed", claims.updated_at && readableTime(claims.updated_at)],
    ["Logged in", claims.auth_time && readableTime(claims.auth_time)],
    ["According to", el("code", {}, claims.iss)],
  ].filter(([, value]) => value);
  place.replaceChildren(
    el(
      "div",
      { class: "person" },
      el("span", { class: "avatar", "aria-hidden": "true" }, initials(personName(claims))),
      el("p", { class: "message", "data-testid": "name" }, personName(claims)),
    ),
    el(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
    el(
      "p",
      { class: "hint" },
      "An ID token is for the page that asked for it. The API gets an access token, and must not take this one.",
    ),
    tokenDetails(
      login.idToken,
      "The ID token",
      "The issuer gave it to this page directly, so nobody can have changed it.",
    ),
  );
}

function email({ email, email_verified: verified }) {
  if (verified === undefined) return email;
  return `${email} (${verified ? "checked" : "not checked"} by the issuer)`;
}

/** Return a name for a person, from whichever claims the issuer sent. */
export function personName(claims) {
  return claims.name || claims.nickname || claims.email || claims.sub;
}

function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words.slice(0, 1);
  return chosen.map((word) => [...word][0].toUpperCase()).join("");
}

function isLoopback(url) {
  const { hostname } = new URL(url);
  return (
    hostname === "localhost" || hostname.endsWith(".localhost") || /^127\.|^\[::1\]$/.test(hostname)
  );
}
