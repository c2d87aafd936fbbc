"""Does a token's header say what it may (RFC 7515 §4.1, RFC 8725 §3)?

One table, one loop, as in `claims`. `alg` is not among the rules: which ones are accepted is up to
the issuer, so the validator looks at it once it knows which. `jwk`, `jku`, `x5u` and `x5c` are not
looked at, here or anywhere.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .claims import ABSENT
from .errors import InvalidTokenError, Reason

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ACCESS_TOKEN_TYPES = _TYPES - {"jwt"}


def check(header: Mapping[str, Any], *, strict: bool) -> None:
    """Refuse what no key could make good. `strict` asks for the `typ` of RFC 9068 §2.1.

    Raises InvalidTokenError with the reason of the first rule that is broken.
    """
    for name, broken, _, optional in STRICT_RULES if strict else RULES:
        value = header.get(name, ABSENT)
        if value is ABSENT and optional:
            continue
        reason = broken(value)
        if reason is not None:
            raise InvalidTokenError(reason)


def _unused(_value: Any) -> Reason | None:
    # RFC 7515 §4.1.11: we understand no extension, so whatever is critical is refused; `b64`
    # (RFC 7797) changes what is signed, so it is refused even where nobody said it is critical.
    return Reason.CRITICAL


def _name(kid: Any) -> Reason | None:
    return None if isinstance(kid, str) else Reason.HEADER


def _type(typ: Any) -> Reason | None:
    return None if _is_one_of(typ, _TYPES) else Reason.TYPE


def _access_token_type(typ: Any) -> Reason | None:
    return None if _is_one_of(typ, _ACCESS_TOKEN_TYPES) else Reason.TYPE


def _is_one_of(typ: Any, types: frozenset[str]) -> bool:
    return isinstance(typ, str) and typ.lower() in types


class Rule(NamedTuple):
    """What one header parameter must be like.

    `broken` returns the reason to refuse its value, or None; `wants` says in words what is
    accepted. An `optional` one is looked at only where it is there.
    """

    name: str
    broken: Callable[[Any], Reason | None]
    wants: str
    optional: bool = True


_COMMON = (
    Rule("crit", _unused, "absent"),
    Rule("b64", _unused, "absent"),
    Rule("kid", _name, "absent, or a string"),
)
RULES = (*_COMMON, Rule("typ", _type, "absent, JWT or at+jwt"))
STRICT_RULES = (*_COMMON, Rule("typ", _access_token_type, "at+jwt", optional=False))
