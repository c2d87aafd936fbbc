// Which page is on the screen, and how does a person get to the next one?

import { Login } from "./login.js";
import { CALLBACK, NOT_FOUND, PAGES, personName } from "./pages.js";
import {
  Denied,
  LoginRequired,
  NoLoginToFinish,
  NoSilentAnswer,
  OutOfService,
  Problem,
  ask,
} from "./problem.js";
import { showSwitch } from "./switch.js";
import { alert, announce, button, el, notice, waiting } from "./view.js";

const main = document.getElementById("main");
let config;
let login;
let silence = Promise.resolve(null); // the problem with the silent login at the start

/** Nobody is logged in here, and the issuer could not be asked silently. */
class Unasked extends LoginRequired {}

async function start() {
  document.getElementById("skip").addEventListener("click", skip);
  document.addEventListener("click", follow);
  addEventListener("popstate", () => show(location.pathname));
  // The browser kept this page since an earlier visit, so its tokens may be old.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  try {
    config = await loadConfig();
  } catch (problem) {
    fill("Home").replaceChildren(failure(problem));
    return;
  }
  document.getElementById("foot").textContent = `Issuer ${config.issuer} · API ${config.apiUrl}`;
  login = new Login(config);
  login.addEventListener("change", showAccount);
  if (location.pathname !== "/callback") {
    silence = outcomeOf(login.renew());
    silence.then(showAccount);
  }
  const shown = show(location.pathname, { moveFocus: false });
  showSwitch(document.getElementById("binding"), login, inTurn(shown, replaceTokens));
  await shown;
}

/** Return a function that calls another one: after `first`, and after its own earlier calls. */
function inTurn(first, then) {
  let last = first;
  return () => {
    last = last.then(then);
    return last;
  };
}

/** The person has chosen whether tokens are to be bound. Those at hand are of the other kind. */
async function replaceTokens() {
  if (login.person === null) return;
  silence = outcomeOf(login.replace());
  if ((await silence) instanceof LoginRequired) await leave({ signUp: false });
  else await show(location.pathname, { moveFocus: false });
}

/** Return the problem that a promise ends with, or null if it ends without one. */
function outcomeOf(promise) {
  return promise.then(
    () => null,
    (problem) => problem,
  );
}

async function loadConfig() {
  const { text } = await ask("server of this page", new URL("/config.json", location.href).href);
  return JSON.parse(text);
}

/** Come back from the issuer's login page. */
async function finishLogin() {
  const parameters = new URLSearchParams(location.search);
  // A code works only once, so its address does not belong in the history.
  history.replaceState(null, "", location.pathname);
  const place = fill(CALLBACK.title, CALLBACK.lead);
  place.replaceChildren(waiting("Finishing the login…"));
  try {
    const returnTo = await login.finish(parameters);
    if (!place.isConnected) return; // another page was opened in the meantime
    history.replaceState(null, "", returnTo);
    // The person has just logged in, so another login would not help.
    await show(returnTo, { mayLogIn: false });
  } catch (problem) {
    // If this login never was, or was not wanted, an earlier one may still go on.
    if (problem instanceof NoLoginToFinish || problem instanceof Denied) {
      silence = outcomeOf(login.renew());
      await silence;
    }
    if (!place.isConnected) return;
    showAccount();
    if (problem instanceof NoLoginToFinish && login.person) return stayLoggedIn();
    place.replaceChildren(failure(problem), ...whoIsStillHere(), actions());
  }
}

/** A login that failed has not ended an earlier one. */
function whoIsStillHere() {
  if (login.person === null) return [];
  const home = el("a", { href: "/" }, "Go to Home");
  return [el("p", {}, `You are still logged in as ${personName(login.person)}. `, home)];
}

/** The Back button leads to a login that is over. Its code was used already, so it is left alone. */
async function stayLoggedIn() {
  history.replaceState(null, "", "/");
  await show("/");
  main
    .querySelector(".place")
    .prepend(
      notice(
        "You are logged in already",
        "The address led to a login that is over. This page did not use what it contained.",
      ),
    );
}

async function show(path, { moveFocus = true, mayLogIn = true } = {}) {
  if (path === "/callback") return finishLogin();
  const page = Object.hasOwn(PAGES, path) ? PAGES[path] : NOT_FOUND;
  const place = fill(page.title, page.lead);
  if (moveFocus) main.querySelector("h1").focus();
  await present(page, place, path, { mayLogIn, repeated: false });
}

/** Fill a page's place: for the first time, or with `repeated` once more, as a person asked. */
async function present(page, place, path, { mayLogIn, repeated }) {
  try {
    if (page.needsLogin) {
      if (!repeated) place.replaceChildren(waiting("Looking whether you are logged in…"));
      const problem = await silence;
      if (login.person === null) throw saysNo(problem) ? new LoginRequired() : new Unasked();
    }
    const again = () => present(page, place, path, { mayLogIn: true, repeated: true });
    await page.show(place, { config, login, mayLogIn, repeated, again, loginButton, leave });
    if (!page.needsLogin) await tellOfSilence(place);
  } catch (problem) {
    // What has the keyboard there goes away.
    if (place.contains(document.activeElement)) main.querySelector("h1").focus();
    const loginHelps = problem instanceof LoginRequired && mayLogIn;
    if (loginHelps && login.known && saysNo(problem)) {
      place.replaceChildren(
        alert(
          "You are no longer logged in",
          "The issuer does not know you any more. Its session has ended, or it was started anew: the sandbox forgets everybody then.",
        ),
        actions(),
      );
    } else if (!loginHelps) place.replaceChildren(failure(problem), actions());
    else if (place.isConnected) await leaveForLogin(place, path);
  }
}

/** Whether the issuer said that nobody is logged in, so far as a problem tells. */
function saysNo(problem) {
  // An issuer that could not be asked may still know the person. Then nobody sees its login page.
  if (problem instanceof NoSilentAnswer || problem instanceof Unasked) return false;
  return problem === null || problem instanceof LoginRequired;
}

async function leaveForLogin(place, returnTo) {
  place.replaceChildren(waiting("Taking you to the login…"));
  try {
    await login.start({ returnTo, automatic: true });
  } catch (problem) {
    place.replaceChildren(failure(problem), actions());
  }
}

/** On a page that works without a login: show why a login failed, if it did. */
async function tellOfSilence(place) {
  const problem = await silence;
  const expected = problem instanceof LoginRequired && !(problem instanceof NoSilentAnswer);
  if (problem !== null && !expected) {
    place.prepend(notice(problem.message, problem.explanation));
  }
}

/** Show the title and the heading of a page. Return the element for its content. */
function fill(title, lead) {
  document.title = title === "Home" ? "Hello, aiohttp" : `${title} · Hello, aiohttp`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = el("div", { class: "place", tabindex: "-1" });
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, title === "Home" ? "Hello, aiohttp" : title),
    ...(lead ? [el("p", { class: "lead" }, lead)] : []),
    place,
  );
  announce("");
  return place;
}

function failure(problem) {
  if (problem instanceof Denied) return notice(problem.message, problem.explanation);
  const more = problem instanceof OutOfService && config.lessons ? whereTheSwitchIs() : null;
  if (problem instanceof Problem) return alert(problem.message, problem.explanation, more);
  console.error(problem);
  return alert("Something went wrong in this page", String(problem));
}

function whereTheSwitchIs() {
  const home = el("a", { href: "/" }, "Home");
  return el("p", {}, "Is the issuer switched off? Its switch is at the end of ", home, ".");
}

function actions() {
  const again =
    location.pathname === "/callback" ? null : button("Try again", () => location.reload());
  return el("p", { class: "actions" }, again, login?.person ? null : loginButton());
}

function loginButton() {
  return button("Log in", () => leave({ signUp: false }), "main");
}

async function leave(options) {
  // After a failed callback, its address is nothing to come back to.
  const returnTo = Object.hasOwn(PAGES, location.pathname) ? location.pathname : "/";
  try {
    await login.start({ returnTo, ...options });
  } catch (problem) {
    fill("Log in").replaceChildren(failure(problem), actions());
  }
}

async function logOut() {
  history.pushState(null, "", "/");
  const place = fill("Log out");
  place.replaceChildren(waiting("Logging you out…"));
  try {
    const end = login.end();
    document.getElementById("account").replaceChildren(); // no new login while the old one ends
    await end;
  } catch (problem) {
    showAccount();
    place.replaceChildren(failure(problem));
  }
}

function showAccount() {
  const person = login.person;
  document
    .getElementById("account")
    .replaceChildren(
      ...(person
        ? [el("span", { class: "name" }, personName(person)), button("Log out", logOut)]
        : [
            button("Log in", () => leave({ signUp: false }), "main"),
            button("Sign up", () => leave({ signUp: true })),
          ]),
    );
}

function follow(event) {
  const link = event.target.closest("a");
  const plain =
    event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!plain || !link || event.defaultPrevented || link.origin !== location.origin || !config)
    return;
  event.preventDefault();
  if (link.pathname !== location.pathname) history.pushState(null, "", link.pathname);
  scrollTo(0, 0);
  show(link.pathname);
}

function skip(event) {
  event.preventDefault(); // with #main in it, the address would count as another page
  main.focus();
}

await start();
