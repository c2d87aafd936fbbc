// Who is logged in, with which tokens, and how does a login begin, continue and end?

import { authorizeInFrame } from "./frame.js";
import { authorizationUrl, discover, logoutUrl, newTransaction, redeem, refusal } from "./oidc.js";
import { LoginRequired, Problem } from "./problem.js";

const TRANSACTION = "login";
const NEARLY_EXPIRED_MILLISECONDS = 30_000;
// Only a person can resolve these errors, at the issuer's own page (OpenID Connect Core §3.1.2.6).
const NEEDS_A_PERSON = new Set([
  "login_required",
  "consent_required",
  "interaction_required",
  "account_selection_required",
]);

/** Dispatches "change" whenever a person logs in or out. */
export class Login extends EventTarget {
  // Only in memory: any script that ever gets into this origin could read it from storage.
  #tokens = null;
  #config;
  #renewal = null;

  constructor(config) {
    super();
    this.#config = config;
  }

  /** The ID token's claims, or null. */
  get person() {
    return this.#tokens?.claims ?? null;
  }

  get idToken() {
    return this.#tokens?.idToken ?? null;
  }

  /** Go to the issuer's login page, and come back to `returnTo`. */
  async start({ returnTo, signUp = false, automatic = false }) {
    const metadata = await discover(this.#config.issuer);
    const transaction = newTransaction();
    const more = signUp ? { prompt: "login", screen_hint: "signup" } : {};
    const url = await authorizationUrl(metadata, this.#config, transaction, {
      response_mode: "query",
      ...more,
    });
    sessionStorage.setItem(TRANSACTION, JSON.stringify({ ...transaction, returnTo }));
    // If no person asked for this login, the browser's Back button must not lead here again.
    if (automatic) location.replace(url);
    else location.assign(url);
  }

  /** Read the issuer's answer from this page's address. Return the path to continue at. */
  async finish(parameters) {
    const transaction = JSON.parse(sessionStorage.getItem(TRANSACTION));
    sessionStorage.removeItem(TRANSACTION);
    if (transaction === null) {
      throw new Problem(
        "There is no login to finish here",
        "It was finished already, or it began in another tab.",
      );
    }
    const answer = Object.fromEntries(parameters);
    // First of all: did this browser ask for this answer?
    if (answer.state !== transaction.state) {
      throw new Problem(
        "This answer is not for this login",
        "Its state is not the one that was sent. Please try again.",
      );
    }
    if (answer.iss !== undefined && answer.iss !== this.#config.issuer) {
      throw new Problem("This answer is from another issuer"); // RFC 9207: a mix-up
    }
    await this.#accept(await discover(this.#config.issuer), transaction, answer);
    return transaction.returnTo;
  }

  /** Return an access token that does not expire soon. Throws LoginRequired. */
  async accessToken() {
    await this.#renewal?.catch(() => {});
    if (this.#tokens === null) throw new LoginRequired();
    const left = this.#tokens.expiresAt - Date.now();
    if (left > NEARLY_EXPIRED_MILLISECONDS) return this.#tokens.accessToken;
    const { accessToken } = this.#tokens;
    return this.renew().catch((problem) => {
      if (left > 0) return accessToken; // better than none
      throw problem;
    });
  }

  /** Get new tokens without asking a person. Throws LoginRequired. Parallel calls share a request. */
  renew() {
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #renew() {
    const metadata = await discover(this.#config.issuer);
    const transaction = newTransaction();
    const url = await authorizationUrl(metadata, this.#config, transaction, {
      prompt: "none",
      response_mode: "web_message",
    });
    const answer = await authorizeInFrame(url, this.#config.issuer, transaction.state);
    if (NEEDS_A_PERSON.has(answer.error)) {
      this.#become(null);
      throw new LoginRequired();
    }
    return this.#accept(metadata, transaction, answer);
  }

  /** Forget the tokens, and log out at the issuer. */
  async end() {
    const { idToken } = this;
    this.#become(null);
    try {
      const metadata = await discover(this.#config.issuer);
      location.assign(logoutUrl(metadata, this.#config, idToken));
    } catch (problem) {
      throw new Problem(
        "You are logged out here, but not at the issuer",
        `${problem.message} Its own session goes on.`,
      );
    }
  }

  async #accept(metadata, transaction, answer) {
    if (answer.error !== undefined) throw refusal(answer);
    if (!answer.code) throw new Problem("The issuer's answer has no code in it");
    this.#become(await redeem(metadata, this.#config, transaction, answer.code));
    return this.#tokens.accessToken;
  }

  #become(tokens) {
    this.#tokens = tokens;
    this.dispatchEvent(new Event("change"));
  }
}
