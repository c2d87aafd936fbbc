// How does a person choose that tokens are bound to this browser?

import { bindingWanted, wantBinding } from "./binding.js";
import { announce, el } from "./view.js";

/** Put the switch into `place`. `changed` is called when a person has switched it. */
export function showSwitch(place, login, changed) {
  const state = el("span", { id: "binding-state", class: "hint" });
  const control = el("input", {
    type: "checkbox",
    role: "switch",
    id: "binding-switch",
    "aria-describedby": state.id,
    onchange: async () => {
      await wantBinding(control.checked);
      tell();
      await changed();
      announce(state.textContent);
    },
  });
  const tell = () => {
    [state.dataset.state, state.textContent] = describe(login);
  };
  control.checked = bindingWanted();
  login.addEventListener("change", tell);
  tell();
  place.replaceChildren(el("label", {}, control, "Bind my tokens to this browser"), state);
}

function describe(login) {
  if (!bindingWanted()) return ["off", "Off: whoever has a copy of a token can use it."];
  if (login.bound) return ["bound", "On: a copy of your token is of no use elsewhere."];
  if (login.cannotBind) {
    return [
      "impossible",
      "The issuer cannot bind tokens: its metadata has no dpop_signing_alg_values_supported with ES256. So they are bearer tokens: whoever has a copy can use it.",
    ];
  }
  return ["wanted", "On: your next token works only with a key of this browser."];
}
