"""How does a person log in, and out, and how does the client hear of it?

The authorization endpoint of RFC 6749 §4.1 with PKCE (RFC 7636), as OpenID Connect Core 1.0 §3.1.2
and Auth0's clients use it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from . import pages
from .memory import Code, Family, Grant, Memory, Session
from .oauth import OAuthError, browser_parameters
from .people import PEOPLE

if TYPE_CHECKING:
    from .issuer import Issuer

_COOKIE = "sandbox_session"
_SESSION_SECONDS = 86400
_TRANSACTION_SECONDS = 600
_CODE_SECONDS = 60

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2: a SHA-256 in base64url
_REDIRECT_URI = re.compile(r'[!"$-\[\]-~]+')  # ASCII that can be seen, without # and backslash
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_ENDED = "This login has ended, or never began. Go back to the client and log in from there."


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a client asks for, and where the answer goes."""

    client_id: str
    redirect_uri: str
    response_mode: str
    state: str | None
    scopes: frozenset[str]
    audience: str | None
    nonce: str | None
    code_challenge: str
    prompts: frozenset[str]
    max_age: int | None


class Login:
    """The pages that a browser is sent to."""

    def __init__(self, issuer: "Issuer") -> None:
        self._issuer = issuer
        self._clock = issuer.clock
        self._sessions = Memory[Session](_SESSION_SECONDS, self._clock)
        self._transactions = Memory[AuthorizationRequest](_TRANSACTION_SECONDS, self._clock)
        self.codes = Memory[Code](_CODE_SECONDS, self._clock)

    def routes(self) -> list[web.RouteDef]:
        """Return where browsers go."""
        return [
            web.get("/authorize", self._authorize, allow_head=False),
            web.post("/authorize", self._authorize),
            web.post("/login", self._login),
            web.get("/v2/logout", self._logout, allow_head=False),
            web.get("/oidc/logout", self._logout, allow_head=False),
            web.post("/oidc/logout", self._logout),
            web.get(f"/assets/{{name:{pages.asset_names()}}}", pages.asset),
        ]

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        try:
            parameters = await browser_parameters(request)
            client_id, redirect_uri = self._trusted_client(parameters)
        except OAuthError as error:
            # RFC 6749 §4.1.2.1: never redirect to where nobody vouches for.
            return pages.message_page("This login cannot begin", error.description, status=400)
        try:
            asked = self._read(client_id, redirect_uri, parameters)
            session = self._session(request, asked)
        except OAuthError as error:
            failure = {"error": error.error, "error_description": error.description}
            return _respond(redirect_uri, parameters, failure)
        if session is None:
            transaction = self._transactions.keep(asked)
            return pages.login_page(transaction, PEOPLE.values(), _origin(redirect_uri))
        return self._grant(asked, session)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await browser_parameters(request)
        if request.headers.get("Origin", _origin(self._issuer.url)) != _origin(self._issuer.url):
            return pages.message_page("Not from here", _ENDED, status=403)
        asked = self._transactions.forget(form.get("transaction"))
        person = PEOPLE.get(form.get("person", ""))
        if asked is None or person is None:
            return pages.message_page("Too late", _ENDED, status=400)
        session = Session(token_urlsafe(16), person, int(self._clock()))
        response = self._grant(asked, session)
        response.set_cookie(
            _COOKIE, self._sessions.keep(session), httponly=True, samesite="Lax", path="/"
        )
        return response

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        """OpenID Connect RP-Initiated Logout 1.0 §2, and Auth0's own address for it."""
        self._sessions.forget(request.cookies.get(_COOKIE))
        try:
            parameters = await browser_parameters(request)
            target = parameters.get("post_logout_redirect_uri") or parameters.get("returnTo")
            response: web.Response
            if target is None:
                response = pages.message_page("You are logged out", "You can close this page.")
            else:
                self._trust(target)
                state = {"state": parameters["state"]} if "state" in parameters else {}
                response = _redirect(target, state)
        except OAuthError as error:
            response = pages.message_page(
                "You are logged out",
                f"There is no way back from here: {error.description}.",
                status=400,
            )
        response.del_cookie(_COOKIE, path="/", httponly=True, samesite="Lax")
        return response

    def _trusted_client(self, parameters: Mapping[str, str]) -> tuple[str, str]:
        if "client_id" not in parameters:
            raise OAuthError("invalid_request", "client_id is missing")
        if "redirect_uri" not in parameters:
            raise OAuthError("invalid_request", "redirect_uri is missing")
        self._trust(parameters["redirect_uri"])
        return parameters["client_id"], parameters["redirect_uri"]

    def _trust(self, url: str) -> None:
        # As strings, up to and with the slash: two parsers of one URL need not agree on its host.
        origin = self._issuer.client_origin
        ours = url == origin or url.startswith(f"{origin}/")
        if not ours or not _REDIRECT_URI.fullmatch(url):
            raise OAuthError("invalid_request", f"redirects go to {origin} only")

    def _read(
        self, client_id: str, redirect_uri: str, parameters: Mapping[str, str]
    ) -> AuthorizationRequest:
        prompts = frozenset(parameters.get("prompt", "").split())
        max_age = parameters.get("max_age")
        audience = parameters.get("audience")
        for wrong, error, description in (
            ("response_type" not in parameters, "invalid_request", "response_type is missing"),
            (
                parameters.get("response_type") != "code",
                "unsupported_response_type",
                "this issuer knows response_type=code",
            ),
            (
                parameters.get("response_mode", "query") not in ("query", "web_message"),
                "invalid_request",
                "response_mode can be query or web_message",
            ),
            (
                parameters.get("code_challenge_method") != "S256"
                or not _CHALLENGE.fullmatch(parameters.get("code_challenge", "")),
                "invalid_request",
                "PKCE is required: code_challenge_method=S256 and its code_challenge",
            ),
            (
                not prompts <= _PROMPTS or ("none" in prompts and len(prompts) > 1),
                "invalid_request",
                "prompt can be none, login, consent or select_account, none alone",
            ),
            (
                max_age is not None and not re.fullmatch(r"[0-9]{1,9}", max_age),
                "invalid_request",
                "max_age is a number of seconds",
            ),
            (
                audience not in (None, self._issuer.audience),
                "invalid_request",
                f"audience can be {self._issuer.audience}",
            ),
        ):
            if wrong:
                raise OAuthError(error, description)
        return AuthorizationRequest(
            client_id=client_id,
            redirect_uri=redirect_uri,
            response_mode=parameters.get("response_mode", "query"),
            state=parameters.get("state"),
            scopes=frozenset(parameters.get("scope", "").split()),
            audience=audience,
            nonce=parameters.get("nonce"),
            code_challenge=parameters["code_challenge"],
            prompts=prompts,
            max_age=None if max_age is None else int(max_age),
        )

    def _session(self, request: web.Request, asked: AuthorizationRequest) -> Session | None:
        """Return the login that will do, or None where a person has to be asked."""
        session = self._sessions.get(request.cookies.get(_COOKIE))
        if session is not None and (
            asked.prompts & {"login", "select_account"}
            or (asked.max_age is not None and self._clock() - session.auth_time > asked.max_age)
        ):
            session = None
        if session is None and "none" in asked.prompts:
            raise OAuthError("login_required", "nobody is logged in")
        return session

    def _grant(self, asked: AuthorizationRequest, session: Session) -> web.Response:
        grant = Grant(
            client_id=asked.client_id,
            person=session.person,
            scopes=asked.scopes & self._issuer.scopes_of(session.person),
            audience=asked.audience,
            nonce=asked.nonce,
            session=session,
        )
        code = self.codes.keep(Code(Family(grant), asked.redirect_uri, asked.code_challenge))
        parameters = {"response_mode": asked.response_mode}
        if asked.state is not None:
            parameters["state"] = asked.state
        return _respond(asked.redirect_uri, parameters, {"code": code})


def _respond(
    redirect_uri: str, parameters: Mapping[str, str], answer: Mapping[str, str]
) -> web.Response:
    state = {"state": parameters["state"]} if "state" in parameters else {}
    if parameters.get("response_mode") == "web_message":
        return pages.web_message_page(_origin(redirect_uri), {**answer, **state})
    return _redirect(redirect_uri, {**answer, **state})


def _redirect(url: str, parameters: Mapping[str, str]) -> web.Response:
    if parameters:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
    # 303: whatever the method was, what follows is a GET (RFC 9700 §4.12).
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
