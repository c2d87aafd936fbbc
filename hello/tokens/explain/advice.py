"""Which advice fits a refusal?

The texts are in advice.toml, each under its id. The id is chosen here, and in the modules that know
most about a reason.
"""

import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from hello.tokens.errors import Reason
from hello.tokens.introspection.introspector import TOO_MANY
from hello.tokens.jwt.claim_rules import RFC_9068_REQUIRED
from hello.tokens.jwt.header_rules import OTHER_TYPES, type_name
from hello.tokens.jwt.rules import ABSENT
from hello.tokens.keys.jwk import ALGORITHMS
from hello.tokens.keys.signing_key import HASH_BYTES

from . import audiences, origins, times
from .case import Case, Choice, kind
from .explanation import shown
from .sentences import Advice, sentence
from .shapes import shortest_signature

ANY_TRUSTED = "an issuer that the resolver knows"
# Cloud Run puts these words in place of a signature that it has verified.
_REMOVED = binascii.a2b_base64("SIGNATURE/REMOVED/BY/GOOGLE=")
_DER = b"\x30"
_KNOWN_TYPES = {
    "logout+jwt": "event",
    "secevent+jwt": "event",
    "okta-internal-at+jwt": "okta",
}


def advice(reason: Reason, case: Case) -> Advice:
    """Return what to do about a token that was refused for a reason."""
    if _is_proof(case):  # whatever rule it breaks first
        return sentence("type.proof")
    choice = _CHOICES[reason](case) if reason in _CHOICES else ""
    variant, values = choice if isinstance(choice, tuple) else (choice, {})
    return sentence(
        f"{reason}.{variant}" if variant else reason.value,
        **{
            "wanted": " or ".join(case.audience) or "the API's identifier",
            "accepted": " or ".join(case.algorithms),
            "trusted": " or ".join(case.trusted) or ANY_TRUSTED,
            "issuer": case.issuer or " or ".join(case.trusted) or ANY_TRUSTED,
            "kids": case.kids or "none",
            "proof_algs": ", ".join(case.proof_algorithms),
            "leeway": f"{case.leeway:g}",
            "now": f"{datetime.fromtimestamp(case.now, UTC):%Y-%m-%d %H:%M:%S} UTC",
            **values,
        },
    )


def _is_proof(case: Case) -> bool:
    typ = case.header.get("typ")
    return isinstance(typ, str) and type_name(typ) == "dpop+jwt"


def diagnosis(case: Case) -> list[Advice]:
    """Return what to do about a text that no issuer knows, if its form shows what it is."""
    return [] if case.shape in ("", "opaque") else [advice(Reason.MALFORMED, case)]


def _malformed(case: Case) -> Choice:
    # Either the issuers come from a resolver, and then none is asked; or one is asked about opaque
    # tokens, and this text is too long for one.
    unaskable = case.shape == "opaque" and (case.asked or not case.trusted)
    return "opaque_unaskable" if unaskable else case.shape


def _unasked(case: Case) -> Choice:
    return "too_many" if case.detail == TOO_MANY else "outage"


def _header(case: Case) -> Choice:
    kid = case.header.get("kid")
    return ("null", {}) if kid is None else ("kid", {"found": kind(kid)})


def _type(case: Case) -> Choice:
    if case.rule in ("", "typ") and case.claims.get("typ") != "ID":
        return _typ(case)
    # The rules for an issuer with audience_claim, and for answers about opaque tokens.
    if case.rule == "token_type" and case.rule not in case.claims:
        return "no_token_type"
    if case.answered:  # no ID token is opaque
        return "answer_for_client" if case.rule == "aud" else "token_use"
    if other := audiences.other_token(case):
        return other
    return "for_client" if case.rule == "aud" else "token_use"


def _typ(case: Case) -> Choice:
    typ = case.header.get("typ")
    if typ is not None and not isinstance(typ, str):
        return "no_text", {"found": kind(typ)}
    name = type_name(typ or "")
    if name in _KNOWN_TYPES:
        return _KNOWN_TYPES[name]
    if name in OTHER_TYPES:
        return "other"
    if other := audiences.other_token(case):
        return other
    if case.strict and name in ("", "jwt"):
        return "strict"
    return "null" if typ is None else "unusual"


def _algorithm(case: Case) -> Choice:
    alg = case.header.get("alg")
    if not isinstance(alg, str) or not alg:
        return "absent"
    if alg.lower() == "none":
        return "unsigned"
    if any(alg.upper() == name.upper() for name in case.algorithms):
        return "letters"
    if alg in HASH_BYTES:
        return _symmetric(case)
    if alg not in ALGORITHMS:
        return "unsupported", {"known": ", ".join(sorted(ALGORITHMS))}
    return ("public_key" if case.has_only_secret else "other"), {"alg": alg}


def _symmetric(case: Case) -> Choice:
    if case.claims.get("typ") in audiences.KEYCLOAKS_REFRESH_TOKENS:
        return "refresh_token"
    return "other_secret" if case.has_secret else "secret"


def _unfit_key(case: Case) -> Choice:
    alg = str(case.header.get("alg"))  # it is one of those that are accepted
    return ("other" if case.header.get("kid") else "unnamed"), {"alg": alg}


def _signature(case: Case) -> Choice:
    alg, size = str(case.header.get("alg")), len(case.signature)
    if not size:
        return "absent"
    if case.signature.startswith(_REMOVED):
        return "removed"
    if "nonce" in case.header and origins.is_of_entra(case):
        return "graph"
    shortest = shortest_signature(alg) * 3 // 4
    if size < shortest:
        return "cut_off"
    # RFC 7518 §3.4: R and S alone. Key services and OpenSSL write them in ASN.1.
    if alg.startswith("ES") and size > shortest and case.signature.startswith(_DER):
        return "der"
    return "secret" if alg in HASH_BYTES else "other"


def _bound(case: Case) -> Choice:
    cnf = case.claims.get("cnf")
    if not isinstance(cnf, Mapping) or not cnf:
        return "empty"
    return case.binding, {
        "key": shown(cnf.get("jkt", ABSENT)),
        "certificate": shown(cnf.get("x5t#S256", ABSENT)),
    }


def _missing_claim(case: Case) -> Choice:
    claim = {"claim": case.rule}
    if case.rule in case.claims:
        return "null", claim
    if case.rule == "cnf":
        return "cnf", claim
    if case.rule == "iat" and case.max_age is not None:
        return "max_age", claim
    return ("strict" if case.strict and case.rule in RFC_9068_REQUIRED else "absent"), claim


_CHOICES: Mapping[Reason, Callable[[Case], Choice]] = {
    Reason.MALFORMED: _malformed,
    Reason.HEADER: _header,
    Reason.CRITICAL: lambda case: "crit" if "crit" in case.header else "b64",
    Reason.TYPE: _type,
    Reason.ISSUER: origins.issuer,
    Reason.RESOLVER_UNAVAILABLE: lambda case: "failed" if case.has_host else "no_host",
    Reason.ALGORITHM: _algorithm,
    Reason.KEYS_UNAVAILABLE: origins.keys_unavailable,
    Reason.UNKNOWN_KEY: origins.unknown_key,
    Reason.UNFIT_KEY: _unfit_key,
    Reason.SIGNATURE: _signature,
    Reason.AUDIENCE: audiences.audience,
    Reason.EXPIRED: times.expired,
    Reason.EXPIRY: times.expiry,
    Reason.NOT_YET_VALID: partial(times.ahead, "nbf"),
    Reason.ISSUED_AT: partial(times.ahead, "iat"),
    Reason.TOO_OLD: times.too_old,
    Reason.CLAIM_TYPE: times.claim_type,
    Reason.MISSING_CLAIM: _missing_claim,
    Reason.BOUND: _bound,
    Reason.UNBOUND: lambda case: "required" if case.only_bound else "allowed",
    Reason.NO_CREDENTIALS: lambda case: case.binding or "nothing",
    Reason.PROOF: lambda case: case.binding,
    Reason.INTROSPECTION_UNAVAILABLE: _unasked,
}
