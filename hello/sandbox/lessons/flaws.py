"""Which wrong tokens does the sandbox's issuer make, so that a learner sees them refused?

Each has one flaw, and so no API that checks tokens accepts it.
"""

from collections.abc import Callable
from functools import cache
from secrets import token_bytes

from joserfc.jwk import Key

from hello.sandbox.issuer import Issuer, base64url, new_key

_PAST_SECONDS = 3600
_OTHER_API = "https://another-api.example.com"


def flawed_token(issuer: Issuer, flaw: str, key: str | None) -> str | None:
    """Return a token with a flaw of `FLAWS`, or None if there is no such flaw.

    `key` is the thumbprint of the key that the token is bound to (RFC 9449 §6.1), or None for a
    bearer token.
    """
    make = FLAWS.get(flaw)
    return None if make is None else make(issuer, key)


def _claims(issuer: Issuer, key: str | None) -> dict[str, object]:
    bound = {} if key is None else {"cnf": {"jkt": key}}
    return {"sub": "sandbox|flawed", "aud": issuer.audience, "permissions": [], **bound}


def _expired(issuer: Issuer, key: str | None) -> str:
    begin = int(issuer.clock()) - 2 * _PAST_SECONDS
    times = {"iat": begin, "exp": begin + _PAST_SECONDS}
    return issuer.sign({**_claims(issuer, key), **times})


def _audience(issuer: Issuer, key: str | None) -> str:
    return issuer.sign({**_claims(issuer, key), "aud": _OTHER_API})


def _signature(issuer: Issuer, key: str | None) -> str:
    header = {"kid": issuer.key.kid}
    return issuer.sign(_claims(issuer, key), header=header, key=_key_of_nobody())


def _unknown_key(issuer: Issuer, key: str | None) -> str:
    return issuer.sign(_claims(issuer, key), key=_key_of_nobody())


def _bound(issuer: Issuer, _key: str | None) -> str:
    return issuer.sign(_claims(issuer, base64url(token_bytes(32))))


FLAWS: dict[str, Callable[[Issuer, str | None], str]] = {
    "expired": _expired,
    "audience": _audience,
    "signature": _signature,
    "unknown_key": _unknown_key,
    "bound": _bound,
}


@cache
def _key_of_nobody() -> Key:
    return new_key()  # takes a while, so it is made once
