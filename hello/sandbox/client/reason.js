// Why did the API refuse a request, which its answer does not say?

import { explainChallenges } from "./challenge.js";
import { lesson } from "./lessons.js";
import { disclosure, el } from "./view.js";

/**
 * Return what is known about a refusal: the challenge, and in the sandbox the lines of the log and
 * what `run.py --check-token` says. `seen` is what the API saw of the exchange, or null.
 */
export async function reasons({ request, answer }, seen, config) {
  const header = new Map(answer.headers).get("www-authenticate") ?? null;
  return [
    ...(header === null ? [] : explainChallenges(header)),
    seen?.log.length
      ? el(
          "figure",
          {},
          el("figcaption", {}, "The API's log says why"),
          el("pre", { "data-testid": "log" }, seen.log.join("\n")),
        )
      : null,
    config.lessons
      ? null
      : el("p", { class: "hint" }, "The reason is in the API's log: find it by the x-request-id."),
    await checked(request, config),
  ].filter((part) => part !== null);
}

async function checked({ token, scheme, proof }, config) {
  if (!config.lessons || token === null) return null;
  const asked = { token, scheme, ...(proof === null ? {} : { proof }) };
  const check = await lesson("check", asked).catch(() => null);
  if (check === null) return null;
  return disclosure(
    "What --check-token says",
    false,
    el("p", {}, "An operator gives the token to ", el("code", {}, "python run.py --check-token"), "."),
    el(
      "pre",
      {
        "data-testid": "check",
        class: "columns",
        role: "region",
        "aria-label": "What --check-token says",
        tabindex: "0",
      },
      check.text,
    ),
  );
}
