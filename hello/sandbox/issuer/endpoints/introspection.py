"""What does the issuer say about an access token that it gave?

An API asks the introspection endpoint of RFC 7662. A client asks the userinfo endpoint of OpenID
Connect Core 1.0 §5.3.
"""

from collections.abc import Mapping

from aiohttp import web

from hello.sandbox.issuer.clients.authentication import ClientAuthentication
from hello.sandbox.issuer.memory import ExpiringStore, IssuedToken
from hello.sandbox.issuer.oauth import NO_STORE, OAuthError, form_parameters
from hello.sandbox.issuer.proofs import PROOF_ALGORITHMS, Proofs
from hello.tokens import Challenges
from hello.tokens.possession.proof import OtherKeyError, ProofError


class Introspection:
    """The introspection endpoint. It knows the tokens in `access_tokens`."""

    def __init__(
        self, access_tokens: ExpiringStore[IssuedToken], clients: ClientAuthentication
    ) -> None:
        self._access_tokens = access_tokens
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.post("/oauth/introspect", self._introspect)]

    async def _introspect(self, request: web.Request) -> web.Response:
        parameters = await form_parameters(request)
        # RFC 7662 §2.1: otherwise anybody could try out texts until one is a token.
        self._clients.check(request, parameters)
        if "token" not in parameters:
            raise OAuthError("invalid_request", "token is missing")
        issued = self._access_tokens.get(parameters["token"])
        if issued is None or issued.revoked:
            # RFC 7662 §2.2: an answer about any other text says nothing else.
            return web.json_response({"active": False}, headers=NO_STORE)
        return web.json_response(issued.answer, headers=NO_STORE)


class Userinfo:
    """The userinfo endpoint. It accepts the tokens in `access_tokens` that somebody logged in for.

    The audience of a token does not matter.
    """

    def __init__(self, access_tokens: ExpiringStore[IssuedToken], proofs: Proofs) -> None:
        self._access_tokens = access_tokens
        self._proofs = proofs

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the endpoint."""
        return [web.get("/userinfo", self._userinfo), web.post("/userinfo", self._userinfo)]

    async def _userinfo(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        is_known = scheme.lower() in ("bearer", "dpop")
        issued = self._access_tokens.get(token) if is_known else None
        if issued is None or issued.family is None or issued.revoked:
            raise _unauthorized(request, "this is no valid access token of a login at this issuer")
        await self._check_binding(request, token, issued.answer.get("cnf"))
        scopes = frozenset(issued.answer.get("scope", "").split())
        claims = issued.family.grant.person.claims(scopes)
        return web.json_response(claims, headers=NO_STORE)

    async def _check_binding(
        self, request: web.Request, token: str, confirmation: Mapping[str, str] | None
    ) -> None:
        """Raise OAuthError unless who sends a token proves to have its key (RFC 9449 §7.1)."""
        if _is_by_dpop(request) != (confirmation is not None):
            raise _unauthorized(request, "bound tokens are sent by the scheme DPoP, and only those")
        if confirmation is None:
            return
        if confirmation.keys() != {"jkt"}:
            raise _unauthorized(request, "the access token is bound in a way that is unknown here")
        try:
            await self._proofs.key_of(request, token=token, bound_to=confirmation["jkt"])
        except OtherKeyError:
            raise _unauthorized(request, "the access token is bound to another key") from None
        except ProofError as error:
            raise _unauthorized(
                request, f"the proof fails a check: {error}", "invalid_dpop_proof"
            ) from None


def _unauthorized(
    request: web.Request, description: str, error: str = "invalid_token"
) -> OAuthError:
    challenges = Challenges(proof_algorithms=PROOF_ALGORITHMS, by_dpop=_is_by_dpop(request))
    # RFC 6750 §3.1: a request without credentials, or with those of another scheme, is told none.
    told = {"error": error, "error_description": description}
    challenge = challenges.of(told if _has_token(request) else {})
    return OAuthError(error, description, status=401, challenge=challenge)


def _has_token(request: web.Request) -> bool:
    scheme, _, _ = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() in ("bearer", "dpop")


def _is_by_dpop(request: web.Request) -> bool:
    return request.headers.get("Authorization", "")[:5].lower() == "dpop "
