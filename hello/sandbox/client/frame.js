// How is the issuer asked for a code without anybody noticing?

import { Problem } from "./problem.js";

const PATIENCE_MILLISECONDS = 10_000;

/**
 * Open an authorization request in a hidden frame, and return what it answers: { code, state } or
 * { error, error_description, state } (OAuth 2.0 Web Message Response Mode).
 */
export function authorizeInFrame(url, issuer, state) {
  const origin = new URL(issuer).origin;
  const frame = document.createElement("iframe");
  frame.hidden = true;
  frame.title = "Silent login";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(
        new Problem(
          `The issuer at ${origin} did not say who is logged in.`,
          `It has to know ${location.origin} as an origin of this client: "Allowed Web Origins", at Auth0.`,
        ),
      );
      stop();
    }, PATIENCE_MILLISECONDS);

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
    frame.src = url;
    document.body.append(frame);
  });
}
