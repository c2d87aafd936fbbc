// What can go wrong, in words that a person can act on?

/** A failure, with a headline and a sentence that explains it. Both are shown as text. */
export class Problem extends Error {
  constructor(message, explanation = "") {
    super(message);
    this.explanation = explanation;
  }
}

/** Nobody is logged in, and only a person can change that. */
export class LoginRequired extends Problem {
  constructor(
    message = "You are not logged in",
    explanation = "This page is for people who are.",
  ) {
    super(message, explanation);
  }
}

/** The issuer did not answer in the hidden frame. On its own page a person may still log in. */
export class NoSilentAnswer extends LoginRequired {
  constructor(origin) {
    super(
      `The issuer at ${origin} did not say who is logged in. You can still log in.`,
      `It has to know ${location.origin} as an origin of this client ("Allowed Web Origins", at Auth0), and the response mode web_message. Keycloak and Okta do not know that one: with them, log in after each reload.`,
    );
  }
}

/** The issuer's answer belongs to no login that began in this tab, or to one that has ended. */
export class NoLoginToFinish extends Problem {}

/** The person, or the issuer, did not want this login. */
export class Denied extends Problem {}

/** The issuer answers that it is out of service. */
export class OutOfService extends Problem {}

const PATIENCE_SECONDS = 10;

/**
 * Fetch from another server. After a network failure, the problem names that server.
 *
 * `signal` ends it early.
 */
export async function ask(who, url, { signal = null, ...options } = {}) {
  const limit = AbortSignal.timeout(PATIENCE_SECONDS * 1000);
  try {
    const response = await fetch(url, {
      credentials: "omit", // a token is sent as a header or not at all
      redirect: "error", // so the request goes to no other address
      signal: signal === null ? limit : AbortSignal.any([limit, signal]),
      ...options,
    });
    return { response, text: await response.text() };
  } catch {
    if (limit.aborted) {
      throw new Problem(
        `The ${who} at ${new URL(url).origin} did not answer within ${PATIENCE_SECONDS} s`,
        "It took the connection, and then said nothing. Its log may say why.",
      );
    }
    // Browsers tell a page no details, so that pages cannot explore a network.
    throw new Problem(
      `The ${who} at ${new URL(url).origin} does not answer. Is it running?`,
      `If it is, it may not know this page: it has to allow the origin ${location.origin} (CORS).`,
    );
  }
}
