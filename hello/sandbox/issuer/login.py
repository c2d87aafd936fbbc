"""How does a person log in and out, and how is the client told about it?

The authorization endpoint of RFC 6749 §4.1 with PKCE (RFC 7636), as OpenID Connect Core 1.0 §3.1.2
and Auth0's clients use it. RFC 9449 §10 binds the code to a key.
"""

from collections.abc import Callable, Mapping
from secrets import token_urlsafe
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from . import pages
from .authorization import AuthorizationRequest, authorization_request
from .clients.known import Clients
from .memory import AuthorizationCode, ExpiringStore, Grant, Session, TokenFamily
from .oauth import OAuthError, browser_parameters
from .people import Person, SignedUp

_COOKIE = "sandbox_session"
_SESSION_SECONDS = 86400
_TRANSACTION_SECONDS = 600

_UNKNOWN_LOGIN = "This login has ended or never began. Go back to the client and log in from there."


class LoginSettings(Protocol):
    """What the login needs to know about the issuer."""

    url: str
    audiences: Mapping[str, str]
    people: Mapping[str, Person]
    client_origin: str
    clock: Callable[[], float]

    def scopes_of(self, person: Person, /) -> frozenset[str]:
        """Return the scopes that a person can grant to a client."""


class Login:
    """The endpoints that a client sends the browser to. They add to `codes`."""

    def __init__(
        self, settings: LoginSettings, codes: ExpiringStore[AuthorizationCode], clients: Clients
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._clock = settings.clock
        self._codes = codes
        self._signed_up = SignedUp()
        self._sessions = ExpiringStore[Session](_SESSION_SECONDS, self._clock)
        self._transactions = ExpiringStore[AuthorizationRequest](_TRANSACTION_SECONDS, self._clock)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these endpoints and of the files that their pages load."""
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
            client_id, redirect_uri = self._client_and_redirect_uri(parameters)
        except OAuthError as error:
            # RFC 6749 §4.1.2.1: never redirect to an address that may not be the client's.
            return pages.message_page("This login cannot begin", error.description, status=400)
        try:
            authorization = authorization_request(
                parameters,
                client_id=client_id,
                redirect_uri=redirect_uri,
                audiences=self._settings.audiences,
                pages_origin=self._settings.client_origin,
                is_page=self._clients.is_page(redirect_uri),
            )
            session = self._session(request, authorization)
        except OAuthError as error:
            failure = {"error": error.error, "error_description": error.description}
            return self._respond(redirect_uri, parameters, failure)
        if session is None:
            transaction = self._transactions.add(authorization)
            return pages.login_page(
                transaction,
                [*self._settings.people.values(), *self._signed_up.listed()],
                (client_id, _origin(redirect_uri)),
                pages.asked_for(
                    authorization.scopes,
                    authorization.audience,
                    bound=authorization.dpop_jkt is not None,
                ),
                sign_up=parameters.get("screen_hint") == "signup",  # as at Auth0
            )
        return self._grant(authorization, session)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        form = await browser_parameters(request)
        own_origin = _origin(self._settings.url)
        if request.headers.get("Origin", own_origin) != own_origin:
            return pages.message_page("Not from here", _UNKNOWN_LOGIN, status=403)
        authorization = self._transactions.pop(form.get("transaction"))
        if authorization is None:
            return pages.message_page("Too late", _UNKNOWN_LOGIN, status=400)
        if "cancel" in form:
            denied = {"error": "access_denied", "error_description": "the person cancelled"}
            return self._answer(authorization, denied)
        person = self._person(form)
        if person is None:
            return pages.message_page("Nobody has that name", _UNKNOWN_LOGIN, status=400)
        session = Session(token_urlsafe(16), person, int(self._clock()))
        response = self._grant(authorization, session)
        response.set_cookie(
            _COOKIE, self._sessions.add(session), httponly=True, samesite="Lax", path="/"
        )
        return response

    def _person(self, form: Mapping[str, str]) -> Person | None:
        if form.get("person") == "new":
            return self._signed_up.sign_up(form.get("name", ""))
        subject = form.get("person", "")
        return self._settings.people.get(subject) or self._signed_up.get(subject)

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        """OpenID Connect RP-Initiated Logout 1.0 §2, and Auth0's own address for it."""
        self._sessions.pop(request.cookies.get(_COOKIE))
        try:
            parameters = await browser_parameters(request)
            target = parameters.get("post_logout_redirect_uri") or parameters.get("returnTo")
            response: web.Response
            if target is None:
                response = pages.message_page("You are logged out", "You can close this page.")
            else:
                if not self._clients.is_page(target):
                    only = f"redirects go only to {self._settings.client_origin}"
                    raise OAuthError("invalid_request", only)
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

    def _client_and_redirect_uri(self, parameters: Mapping[str, str]) -> tuple[str, str]:
        if "client_id" not in parameters:
            raise OAuthError("invalid_request", "client_id is missing")
        if "redirect_uri" not in parameters:
            raise OAuthError("invalid_request", "redirect_uri is missing")
        self._clients.check_redirect(parameters["client_id"], parameters["redirect_uri"])
        return parameters["client_id"], parameters["redirect_uri"]

    def _session(self, request: web.Request, authorization: AuthorizationRequest) -> Session | None:
        """Return the session of the browser, or None if the person has to log in."""
        session = None
        # RFC 8252 §8.6: any program can say that it is this client, so a person decides each time.
        if self._clients.is_page(authorization.redirect_uri):
            session = self._sessions.get(request.cookies.get(_COOKIE))
        if session is not None:
            age = self._clock() - session.auth_time
            is_too_old = authorization.max_age is not None and age > authorization.max_age
            if is_too_old or authorization.prompts & {"login", "select_account"}:
                session = None
        if session is None and "none" in authorization.prompts:
            raise OAuthError("login_required", "nobody is logged in")
        return session

    def _grant(self, authorization: AuthorizationRequest, session: Session) -> web.Response:
        grant = Grant(
            client_id=authorization.client_id,
            person=session.person,
            scopes=authorization.scopes & self._settings.scopes_of(session.person),
            audience=authorization.audience,
            organization=authorization.organization,
            nonce=authorization.nonce,
            session=session,
        )
        code = self._codes.add(
            AuthorizationCode(
                TokenFamily(grant),
                authorization.redirect_uri,
                authorization.code_challenge,
                authorization.dpop_jkt,
            )
        )
        return self._answer(authorization, {"code": code})

    def _answer(
        self, authorization: AuthorizationRequest, answer: Mapping[str, str]
    ) -> web.Response:
        parameters = {"response_mode": authorization.response_mode}
        if authorization.state is not None:
            parameters["state"] = authorization.state
        return self._respond(authorization.redirect_uri, parameters, answer)

    def _respond(
        self, redirect_uri: str, parameters: Mapping[str, str], answer: Mapping[str, str]
    ) -> web.Response:
        state = {"state": parameters["state"]} if "state" in parameters else {}
        # RFC 9207 §2: a client of several issuers knows from iss whose answer it is.
        answer = {**answer, **state, "iss": self._settings.url}
        by_message = parameters.get("response_mode") == "web_message"
        if by_message and self._clients.is_page(redirect_uri):
            return pages.web_message_page(_origin(redirect_uri), answer)
        return _redirect(redirect_uri, answer)


def _redirect(url: str, parameters: Mapping[str, str]) -> web.Response:
    if parameters:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
    # 303: after any method, the browser follows with a GET (RFC 9700 §4.12).
    return web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
