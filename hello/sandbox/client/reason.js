// Why did the API refuse a request, which its answer does not say?

import { explainChallenges } from "./challenge.js";
import { lesson } from "./lessons.js";
import { disclosure, el, unseen } from "./view.js";

/**
 * Return what is known about a refusal: the challenge, and in the sandbox the lines of the log and
 * what `run.py --check-token` says. `seen` is what the API saw of the exchange, or null. `which`
 * tells this refusal apart from another on the page, or is null.
 */
export async function reasons({ request, answer }, seen, config, which = null) {
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
    await checked(request, config, which),
  ].filter((part) => part !== null);
}

async function checked({ token, scheme, proof }, config, which) {
  if (!config.lessons || token === null) return null;
  const asked = { token, scheme, ...(proof === null ? {} : { proof }) };
  const check = await lesson("check", asked).catch(() => null);
  if (check === null) return null;
  const name = "What --check-token says";
  return disclosure(
    [name, which && unseen(which)],
    false,
    el("p", {}, "An operator gives the token to ", el("code", {}, "python run.py --check-token"), "."),
    el(
      "pre",
      {
        "data-testid": "check",
        class: "columns",
        role: "region",
        "aria-label": which ? `${name} (${which})` : name,
        tabindex: "0",
      },
      check.text,
    ),
  );
}
