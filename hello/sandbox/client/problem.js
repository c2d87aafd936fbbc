// What can go wrong, in words that a person can act on?

/** A failure with a headline and a line that explains it. Both are shown as text. */
export class Problem extends Error {
  constructor(message, explanation = "") {
    super(message);
    this.explanation = explanation;
  }
}

/** Nobody is logged in, and only a person can change that. */
export class LoginRequired extends Problem {
  constructor() {
    super("You are not logged in", "This page is for people who are.");
  }
}

/** Ask another server. A network failure names who it was that did not answer. */
export async function ask(who, url, options = {}) {
  try {
    const response = await fetch(url, {
      credentials: "omit", // a token is sent as a header or not at all
      redirect: "error", // and never to wherever somebody points
      signal: AbortSignal.timeout(10_000),
      ...options,
    });
    return { response, text: await response.text() };
  } catch {
    // The browser tells a page no more than this, so that it cannot explore a network.
    throw new Problem(
      `The ${who} at ${new URL(url).origin} does not answer. Is it running?`,
      `If it is, it may not know this page: it has to allow the origin ${location.origin} (CORS).`,
    );
  }
}
