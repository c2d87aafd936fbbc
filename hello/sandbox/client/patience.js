// How does a person see that something takes long, and stop waiting for it?

import { Problem } from "./problem.js";
import { announce, button, el } from "./view.js";

/**
 * Return what `work(signal)` returns. Meanwhile, show in `place` what is waited for, and from the
 * first second on for how long. A person can stop it: then throws Problem. What had the keyboard before
 * gets it back from the button.
 */
export async function patiently(place, text, work) {
  const begun = Date.now();
  const before = document.activeElement;
  const controller = new AbortController();
  const time = el("span", { role: "timer" });
  let stop;
  const stopped = new Promise((_resolve, reject) => {
    stop = button("Stop waiting", () => {
      const { textContent } = time;
      reject(new Problem(`You stopped waiting after ${textContent}`, "No answer has come so far."));
      controller.abort();
    });
  });
  stop.hidden = true;
  const timer = setInterval(() => {
    time.textContent = `${Math.round((Date.now() - begun) / 1000)} s`;
    if (stop.hidden) announce("It takes longer than usual. You can stop waiting.");
    stop.hidden = false;
  }, 1000);
  place.replaceChildren(el("p", { class: "waiting" }, el("span", {}, text), time, stop));
  try {
    return await Promise.race([work(controller.signal), stopped]);
  } finally {
    clearInterval(timer);
    if (document.activeElement === stop) before.focus({ preventScroll: true });
  }
}
