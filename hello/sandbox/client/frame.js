// How is the issuer asked for a code without anybody noticing?

import { NoSilentAnswer } from "./problem.js";

const PATIENCE_MILLISECONDS = 10_000;
// A page that has the answer sends it while it loads. Another one, such as a refusal, never will.
const PATIENCE_ONCE_LOADED_MILLISECONDS = 1_000;

/**
 * Open an authorization request in a hidden frame, and return what it answers: { code, state } or
 * { error, error_description, state } (OAuth 2.0 Web Message Response Mode). Throws NoSilentAnswer.
 *
 * Whether an issuer knows how to has to be tried: Auth0 does, and its metadata does not say so.
 */
export function authorizeInFrame(url, issuer, state) {
  const origin = new URL(issuer).origin;
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "Silent login";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(giveUp, PATIENCE_MILLISECONDS);

    function giveUp() {
      reject(new NoSilentAnswer(origin)); // which says nothing where there was an answer
      stop();
    }

    function listen(event) {
      // Any window can send us a message. Only the issuer's, only in this frame, only to this question.
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
