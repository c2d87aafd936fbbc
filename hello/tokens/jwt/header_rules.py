"""What must the header of a token be like (RFC 7515 §4.1, RFC 8725 §3)?

There is no rule for `alg`: each issuer has its own algorithms, and the validator compares them when
it knows the issuer. `jwk`, `jku`, `x5u` and `x5c` are never read, neither here nor elsewhere.
"""

from collections.abc import Collection
from typing import Any

from hello.tokens.bounded import check_flag, check_names
from hello.tokens.errors import Reason

from .rules import Rule

_STRICT_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_TYPES = _STRICT_TYPES | {"jwt"}

OTHER_TYPES = frozenset(
    {
        "client-authentication+jwt",
        "dpop+jwt",
        "entity-statement+jwt",
        "kb+jwt",
        "logout+jwt",
        "oauth-authz-req+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
    }
)
"""Types of other standards, as `type_name` returns them. A token of such a type may come from a
trusted issuer and be valid, but it is no access token (RFC 8725 §3.12).
"""


def header_rules(*, strict: bool) -> tuple[Rule[frozenset[str]], ...]:
    """Return the rules for every token. `strict` requires the `typ` of RFC 9068 §2.1.

    They are checked against the types that the token's issuer uses besides the usual ones.
    """
    check_flag("strict", strict)
    types = _STRICT_TYPES if strict else _TYPES

    def check_type(typ: Any, more: frozenset[str]) -> Reason | None:
        if isinstance(typ, str) and (typ.lower() in types or type_name(typ) in more):
            return None
        return Reason.TYPE

    wants = "at+jwt" if strict else "absent, JWT or at+jwt"
    return (
        Rule("crit", _refuse, "absent"),
        Rule("b64", _refuse, "absent"),
        Rule("kid", _check_key_id, "absent, or a string"),
        Rule("typ", check_type, wants, optional=not strict),
    )


def read_types(given: Collection[str]) -> frozenset[str]:
    """Return further values of `typ` in the form that is compared. Raises ValueError."""
    check_names("types", given)
    if not all(given):
        raise ValueError("types has an empty text, and no token has such a type")
    names = frozenset(map(type_name, given))
    if others := names & OTHER_TYPES:
        raise ValueError(f"types has {sorted(others)}, and no access token has such a type")
    return names


def type_name(typ: str) -> str:
    """Return a `typ` in the form that is compared: in lower case and without `application/`.

    RFC 7515 §4.1.9: case does not matter, and the prefix may be left out.
    """
    return typ.lower().removeprefix("application/")


def _refuse(_value: Any, _types: object) -> Reason | None:
    # RFC 7515 §4.1.11: no extension is supported here, so every critical one is refused. `b64`
    # (RFC 7797) changes what is signed, so it is refused even if it is not marked as critical.
    return Reason.CRITICAL


def _check_key_id(kid: Any, _types: object) -> Reason | None:
    return None if isinstance(kid, str) else Reason.HEADER
