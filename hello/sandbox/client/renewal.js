// What does a person read when a silent renewal has failed?

import { LoginRequired, OutOfService } from "./problem.js";
import { alert, el } from "./view.js";

/**
 * Return what was tried, what came back, and what to do. `kept` says whether this page still has a
 * token. `remedy` is a button, or null.
 */
export function renewalFailed(problem, { kept, lessons, remedy }) {
  const told = alert(
    "The silent renewal failed",
    null,
    el(
      "dl",
      { class: "facts", "data-testid": "renewal-failed" },
      fact(
        "What was tried",
        "This page wanted a new token without asking you. It asks the issuer for its metadata, and then for a code in a hidden frame (prompt=none).",
      ),
      fact("What came back", problem.message, problem.explanation),
      fact("What to do", whatToDo(problem, lessons), kept ? KEPT : null),
    ),
    remedy && el("p", { class: "actions" }, remedy),
  );
  return el("div", { class: "renewal" }, told);
}

const KEPT = "This page still has its old token, and uses it until it expires.";

function whatToDo(problem, lessons) {
  if (problem instanceof LoginRequired) return "Log in again, at the issuer's own page.";
  if (problem instanceof OutOfService && lessons) {
    return "Is the issuer switched off? Switch it on, under “Break it” or at the end of Home, and try again.";
  }
  return "See whether the issuer runs, and try again.";
}

function fact(name, ...texts) {
  const told = texts.filter(Boolean).map((text) => el("p", {}, text));
  return el("div", {}, el("dt", {}, name), el("dd", {}, told));
}
