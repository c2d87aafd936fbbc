// Who is logged in, with which tokens, and how does a login begin, continue and end?

import { bindingWanted, browserKey, forgetKey } from "./binding.js";
import { authorizeInFrame } from "./frame.js";
import {
  authorizationUrl,
  bindsTokens,
  discover,
  logoutUrl,
  newTransaction,
  redeem,
  refusal,
} from "./oidc.js";
import { LoginRequired, NoLoginToFinish, Problem } from "./problem.js";
import { note, visited } from "./timeline.js";

const TRANSACTION = "login";
const KNOWN = "known";
const NEARLY_EXPIRED_MILLISECONDS = 30_000;
// Only a person can resolve these errors, at the issuer's own page (OpenID Connect Core §3.1.2.6).
const NEEDS_A_PERSON = new Set([
  "login_required",
  "consent_required",
  "interaction_required",
  "account_selection_required",
]);

/** Dispatches "change" whenever a person logs in or out, or gets other tokens. */
export class Login extends EventTarget {
  // Only in memory: any script that ever gets into this origin could read it from storage.
  #tokens = null;
  #config;
  #renewal = null;
  #issuerBinds = null; // null until the issuer has said it

  constructor(config) {
    super();
    this.#config = config;
  }

  /** The ID token's claims, or null. */
  get person() {
    return this.#tokens?.claims ?? null;
  }

  /** { accessToken, key, expiresAt, lifetime } and more, or null. */
  get tokens() {
    return this.#tokens;
  }

  get idToken() {
    return this.#tokens?.idToken ?? null;
  }

  /** Whether the access token is bound to this browser's key. */
  get bound() {
    return (this.#tokens?.key ?? null) !== null;
  }

  /** Whether the issuer said that it cannot bind tokens. */
  get cannotBind() {
    return this.#issuerBinds === false;
  }

  /** Whether somebody has logged in in this tab, and has not logged out. */
  get known() {
    return sessionStorage.getItem(KNOWN) !== null;
  }

  /**
   * Go to the issuer's login page, and come back to `returnTo`. With `anew`, the issuer asks who
   * logs in, even if it knows somebody.
   */
  async start({ returnTo, signUp = false, anew = signUp, automatic = false }) {
    const metadata = await this.#discover();
    const transaction = newTransaction();
    const key = await this.#keyToBindTo();
    const more = {
      ...(anew ? { prompt: "login" } : {}),
      ...(signUp ? { screen_hint: "signup" } : {}),
    };
    const url = await authorizationUrl(metadata, this.#config, transaction, {
      response_mode: "query",
      ...binding(key),
      ...more,
    });
    const thumbprint = key?.thumbprint ?? null;
    sessionStorage.setItem(TRANSACTION, JSON.stringify({ ...transaction, thumbprint, returnTo }));
    note("authorize", visited(url));
    // If no person asked for this login, the browser's Back button must not lead here again.
    if (automatic) location.replace(url);
    else location.assign(url);
  }

  /** Read the issuer's answer from this page's address. Return the path to continue at. */
  async finish(parameters) {
    const transaction = JSON.parse(sessionStorage.getItem(TRANSACTION));
    sessionStorage.removeItem(TRANSACTION);
    if (transaction === null) {
      throw new NoLoginToFinish(
        "There is no login to finish here",
        "It was finished already, or it began in another tab.",
      );
    }
    const answer = Object.fromEntries(parameters);
    // First of all: did this browser ask for this answer?
    if (answer.state !== transaction.state) {
      throw new NoLoginToFinish(
        "This answer is not for this login",
        "Its state is not the one that was sent. Please try again.",
      );
    }
    const here = location.origin + location.pathname;
    note(answer.error === undefined ? "callback" : "refused", { line: `GET ${here}`, fields: answer });
    const metadata = await this.#discover();
    this.#checkIssuer(metadata, answer);
    const key = transaction.thumbprint === null ? null : await browserKey();
    if (key !== null && key.thumbprint !== transaction.thumbprint) {
      throw new Problem(
        "The key of this login is gone",
        "Another tab has logged out or switched the binding off. Please log in again.",
      );
    }
    await this.#accept(metadata, transaction, answer, key);
    return transaction.returnTo;
  }

  /**
   * Return an access token that does not expire soon, and its key: { accessToken, key }. A bearer
   * token has the key null. If it expires soon, `notRenewed` is the problem with getting another one.
   * Throws LoginRequired.
   */
  async accessToken() {
    await this.#renewal?.catch(() => {});
    if (this.#tokens === null) throw new LoginRequired();
    const left = this.#tokens.expiresAt - Date.now();
    const early = Math.min(NEARLY_EXPIRED_MILLISECONDS, this.#tokens.lifetime / 3);
    if (left > early) return this.#tokens;
    const tokens = this.#tokens;
    return this.renew().catch((problem) => {
      if (left > 0) return { ...tokens, notRenewed: problem }; // better than none
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

  /** Get new tokens that are bound or not, as it is wanted now. Throws LoginRequired. */
  async replace() {
    await this.#renewal?.catch(() => {}); // it may have begun before the person chose otherwise
    return this.renew().catch((problem) => {
      this.#become(null);
      throw problem;
    });
  }

  async #renew() {
    const metadata = await this.#discover();
    const transaction = newTransaction();
    const key = await this.#keyToBindTo();
    const url = await authorizationUrl(metadata, this.#config, transaction, {
      prompt: "none",
      response_mode: "web_message",
      ...binding(key),
    });
    const answer = await authorizeInFrame(url, this.#config.issuer, transaction.state);
    note("renewal", visited(url), { line: "postMessage", fields: answer });
    this.#checkIssuer(metadata, answer);
    if (NEEDS_A_PERSON.has(answer.error)) {
      this.#become(null);
      const said = `The issuer answered ${answer.error}: it has to ask you something.`;
      throw new LoginRequired(undefined, said);
    }
    return this.#accept(metadata, transaction, answer, key);
  }

  /** Forget the tokens and the key, and log out at the issuer. */
  async end() {
    const { idToken } = this;
    sessionStorage.removeItem(KNOWN);
    this.#become(null);
    await forgetKey();
    try {
      const metadata = await discover(this.#config.issuer);
      const url = logoutUrl(metadata, this.#config, idToken);
      note("logout", visited(url));
      location.assign(url);
    } catch (problem) {
      throw new Problem(
        "You are logged out here, but not at the issuer",
        `${problem.message} Its own session goes on.`,
      );
    }
  }

  async #discover() {
    const metadata = await discover(this.#config.issuer);
    this.#issuerBinds = bindsTokens(metadata);
    return metadata;
  }

  /** Refuse the answer of another issuer, whose code must not be sent to this one (RFC 9207 §2.4). */
  #checkIssuer(metadata, { iss }) {
    const maySayNothing = metadata.authorization_response_iss_parameter_supported !== true;
    if (iss === this.#config.issuer || (iss === undefined && maySayNothing)) return;
    throw new Problem(
      "This answer is not from the issuer that was asked",
      "It bears another iss, or none, although the issuer says that it sends one. Its code was not used.",
    );
  }

  /** Return the key for the next tokens, or null if they are to be bearer tokens. */
  async #keyToBindTo() {
    // An issuer that cannot bind tokens promised nothing, so a bearer token of it is no surprise.
    return bindingWanted() && this.#issuerBinds ? browserKey() : null;
  }

  async #accept(metadata, transaction, answer, key) {
    if (answer.error !== undefined) throw refusal(answer);
    if (!answer.code) throw new Problem("The issuer's answer has no code in it");
    this.#become(await redeem(metadata, this.#config, transaction, answer.code, key));
    return this.#tokens;
  }

  #become(tokens) {
    this.#tokens = tokens;
    if (tokens !== null) sessionStorage.setItem(KNOWN, "yes");
    this.dispatchEvent(new Event("change"));
  }
}

/** Return what the issuer is told about the key of a login (RFC 9449 §10). */
function binding(key) {
  return key === null ? {} : { dpop_jkt: key.thumbprint };
}
