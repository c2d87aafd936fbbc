"""How does a client show a token, in the words of OpenAPI?"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

from aiohttp import web

from hello.auth.protection import arguments_of
from hello.auth.reading.certificates import of_connection
from hello.tokens import TokenValidator, Validator
from hello.tokens.presented import is_authorization
from hello.tokens.urls import is_secure_url

BEARER, DPOP, CERTIFICATE, ISSUER = "bearer", "dpop", "mutualTLS", "openIdConnect"

Scheme = Mapping[str, Any]
"""A Security Scheme Object (OpenAPI 3.1 §4.8.27)."""

_TYPE, _HTTP = "type", "http"


class Dialect(Enum):
    """A form of documents."""

    SWAGGER_2 = auto()
    OPENAPI_3_0 = auto()
    OPENAPI_3_1 = auto()  # and later ones


class Offer(NamedTuple):
    """The schemes of a protected application by their names, and which of them go together."""

    schemes: dict[str, Scheme]
    ways: list[tuple[str, ...]]


def offer(app: web.Application, dialect: Dialect) -> Offer:
    """Return how clients can show a token to an application with `setup`."""
    given = arguments_of(app)
    challenges = given.challenges
    ways: list[tuple[str, ...]] = []
    if dialect is Dialect.SWAGGER_2 or not is_authorization(given.header):
        # Swagger 2.0 has no bearer tokens, and OpenAPI has them in Authorization only.
        return Offer({BEARER: _in_header(given.header)}, [(BEARER,)])
    schemes: dict[str, Scheme] = {}
    if challenges.bearer:
        schemes[BEARER] = {
            _TYPE: _HTTP,
            "scheme": "bearer",
            **({"bearerFormat": "JWT"} if _only_jwt(given.validator) else {}),
        }
        ways.append((BEARER,))
        if given.client_certificate is not of_connection and dialect is Dialect.OPENAPI_3_1:
            schemes[CERTIFICATE] = {
                _TYPE: "mutualTLS",
                "description": "For a token that is bound to the client's certificate (RFC 8705).",
            }
            ways.append((BEARER, CERTIFICATE))
    if challenges.proof_algorithms:
        schemes[DPOP] = {
            _TYPE: _HTTP,
            "scheme": "dpop",
            "description": (
                "For a token that is bound to a key of the client. Each request has a proof in the "
                f"header DPoP (RFC 9449), signed with {', '.join(challenges.proof_algorithms)}."
            ),
        }
        ways.append((DPOP,))
    for number, url in enumerate(_metadata_urls(given.validator), 1):
        name = ISSUER if number == 1 else f"{ISSUER}{number}"
        schemes[name] = {_TYPE: "openIdConnect", "openIdConnectUrl": url}
        ways.append((name,) if challenges.bearer else (DPOP, name))
    return Offer(schemes, ways)


def _in_header(name: str) -> Scheme:
    before = ": `Bearer`, a space, and the token" if is_authorization(name) else ""
    return {
        _TYPE: "apiKey",
        "in": "header",
        "name": name,
        "description": f"An access token{before}.",
    }


def _only_jwt(validator: Validator) -> bool:
    return isinstance(validator, TokenValidator) and validator.introspected is None


def _metadata_urls(validator: Validator) -> Iterator[str]:
    """Yield where the listed issuers have their metadata, if their keys are found by it.

    Issuers of a resolver are left out: a client must not learn who the tenants are.
    """
    if isinstance(validator, TokenValidator):
        for trusted in validator.issuers.listed:
            found_by_name = trusted.place is not None and trusted.place.issuer is not None
            if found_by_name and is_secure_url(trusted.issuer):
                yield f"{trusted.issuer.rstrip('/')}/.well-known/openid-configuration"


def same_scheme(one: Scheme, other: Scheme) -> bool:
    """Return whether two schemes are the same for a client, whatever their descriptions say."""
    return all(_text(one, member) == _text(other, member) for member in _DECIDING)


_DECIDING = (_TYPE, "scheme", "in", "name", "openIdConnectUrl")


def _text(scheme: Scheme, member: str) -> object:
    value = scheme.get(member)
    # Names of schemes (RFC 9110 §11.1) and of headers are matched without regard to case.
    return value.lower() if isinstance(value, str) and member in ("scheme", "name") else value


def carries_token(app: web.Application, scheme: Scheme) -> bool:
    """Return whether an application with `setup` looks for a token where a scheme has it."""
    given = arguments_of(app)
    if scheme.get(_TYPE) == "apiKey":
        return scheme.get("in") == "header" and _text(scheme, "name") == given.header.lower()
    if not is_authorization(given.header):
        return False
    taken = {
        "bearer": given.challenges.bearer,
        "dpop": bool(given.challenges.proof_algorithms),
    }
    if scheme.get(_TYPE) == _HTTP:
        return taken.get(str(_text(scheme, "scheme")), False)
    return scheme.get(_TYPE) in ("oauth2", "openIdConnect")
