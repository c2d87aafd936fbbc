"""What must the header of a token be like (RFC 7515 §4.1, RFC 8725 §3)?

There is no rule for `alg`: each issuer has its own algorithms, and the validator compares them when
it knows the issuer. `jwk`, `jku`, `x5u` and `x5c` are never read, neither here nor elsewhere.
"""

from typing import Any

from hello.tokens.errors import Reason

from .rules import Rule

_STRICT_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_TYPES = _STRICT_TYPES | {"jwt"}


def header_rules(*, strict: bool) -> tuple[Rule[None], ...]:
    """Return the rules for every token. `strict` requires the `typ` of RFC 9068 §2.1."""
    types = _STRICT_TYPES if strict else _TYPES

    def check_type(typ: Any, _none: None) -> Reason | None:
        return None if isinstance(typ, str) and typ.lower() in types else Reason.TYPE

    wants = "at+jwt" if strict else "absent, JWT or at+jwt"
    return (
        Rule("crit", _refuse, "absent"),
        Rule("b64", _refuse, "absent"),
        Rule("kid", _check_key_id, "absent, or a string"),
        Rule("typ", check_type, wants, optional=not strict),
    )


def _refuse(_value: Any, _none: None) -> Reason | None:
    # RFC 7515 §4.1.11: no extension is supported here, so every critical one is refused. `b64`
    # (RFC 7797) changes what is signed, so it is refused even if it is not marked as critical.
    return Reason.CRITICAL


def _check_key_id(kid: Any, _none: None) -> Reason | None:
    return None if isinstance(kid, str) else Reason.HEADER
