// How does this page get a code from the issuer without a person doing anything?

import { NoSilentAnswer } from "./problem.js";

const PATIENCE_MILLISECONDS = 10_000;
// The page with the answer sends it while it loads. Another one, like an error page, sends none.
const PATIENCE_ONCE_LOADED_MILLISECONDS = 1_000;

/**
 * Open an authorization request in a hidden frame, and return the answer: { code, state } or
 * { error, error_description, state } (OAuth 2.0 Web Message Response Mode). Throws NoSilentAnswer.
 *
 * Metadata does not say whether an issuer supports this. Auth0 does, for example. So it is tried.
 */
export function authorizeInFrame(url, issuer, state) {
  const origin = new URL(issuer).origin;
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "Silent login";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(giveUp, PATIENCE_MILLISECONDS);

    function giveUp() {
      reject(new NoSilentAnswer(origin)); // has no effect if the answer came before
      stop();
    }

    function listen(event) {
      // Any window can send a message. Only the issuer's counts, from this frame and for this request.
      if (event.origin !== origin || event.source !== frame.contentWindow) return;
      if (event.data?.type !== "authorization_response" || event.data.response?.state !== state)
        return;
      resolve(event.data.response);
      stop();
    }

    function stop() {
      clearTimeout(timer);
      removeEventListener("message", listen);
      frame.remove();
    }

    addEventListener("message", listen);
    frame.addEventListener("load", () => setTimeout(giveUp, PATIENCE_ONCE_LOADED_MILLISECONDS));
    frame.src = url;
    document.body.append(frame);
  });
}
