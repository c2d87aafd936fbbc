// How does a person switch the sandbox's issuer off, or make its tokens short-lived?

import { lesson } from "./lessons.js";
import { announce, el } from "./view.js";

const STATES = {
  on: "The issuer is on.",
  off: "The issuer is off: it answers everybody with 503. The API goes on with the keys that it has, for an hour. Where it needs another key, it answers 503 and not 401, so that nobody throws a good session away.",
  usual: "Tokens live for a day.",
  unknown: "The sandbox has not answered, so the switch is where it was. Is the sandbox running?",
  short: "New tokens live for 30 seconds. In the last third of its life, a token is replaced before the next request: a silent renewal, which the page Login shows.",
};

/** Return the switches. `changed(name)` is called when a person has switched one. */
export async function issuerSwitches(changed = () => {}) {
  const state = await lesson("issuer", {});
  if (state === null) return el("p", {}, "The sandbox does not say how its issuer is.");
  return el(
    "div",
    { class: "switches" },
    control("on", "Issuer", state, ["off", "on"], changed),
    control("shortLived", "Short-lived tokens", state, ["usual", "short"], changed),
  );
}

function control(name, label, state, [whenOff, whenOn], changed) {
  const text = el("span", { class: "hint", id: `${name}-state` });
  const input = el("input", {
    type: "checkbox",
    role: "switch",
    id: `${name}-switch`,
    "aria-describedby": text.id,
    onchange: async () => {
      const now = await lesson("issuer", { [name]: input.checked }).catch(() => null);
      Object.assign(state, now);
      tell(now === null ? "unknown" : null);
      announce(text.textContent);
      if (now !== null) await changed(name);
    },
  });
  const tell = (instead = null) => {
    input.checked = state[name];
    text.dataset.state = instead ?? (state[name] ? whenOn : whenOff);
    text.textContent = STATES[text.dataset.state];
  };
  tell();
  return el("p", { class: "binding" }, el("label", {}, input, label), text);
}
