"""Is a valid token sent as its binding asks for, and is the proof that comes with it good?

There is no request here. So nobody can say whether the proof names the request's method and
address, and whether it was sent before.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hello.tokens.errors import (
    AuthError,
    InvalidProofError,
    InvalidTokenError,
    Reason,
    UnauthorizedError,
)
from hello.tokens.jwt.compact import parse
from hello.tokens.jwt.rules import ABSENT
from hello.tokens.possession.addresses import normalized
from hello.tokens.possession.binding import BY_CERTIFICATE, BY_PROOF
from hello.tokens.possession.dpop import DPoP
from hello.tokens.possession.proof import OtherKeyError, ProofError, check_proof, thumbprint_of
from hello.tokens.presented import BEARER, DPOP
from hello.tokens.timing import is_numeric_date

from .explanation import FAILED, NOT_CHECKED, OK, Finding, shown

_UNKNOWN = "the scheme, host and path that the client sees"
# The parts of a proof in the order in which they are checked.
_CHECKED = (
    *("form", "crit", "typ", "alg", "jwk", "key", "signature"),
    *("jti", "htm", "htu", "iat", "ath", "nonce"),
)
_METHOD = re.compile(r"[A-Z]{1,20}")
_NEEDS_REQUEST = ("jti", "htm", "htu")


class Sent(NamedTuple):
    """How a token was sent, as far as that is known.

    `scheme` is "Bearer", "DPoP" or None. `proofs` are the values of the DPoP header. `address` says
    which addresses the API expects in a proof, and `no_route` that it has no route for the one that
    the proof names.
    """

    scheme: str | None = None
    proofs: tuple[str, ...] = ()
    address: str = _UNKNOWN
    no_route: bool = False

    @property
    def by_dpop(self) -> bool:
        """It was sent by the scheme DPoP or, if that is unknown, with a proof."""
        return self.scheme == DPOP or (self.scheme is None and bool(self.proofs))


class Examined(NamedTuple):
    """What was found, the refusal if there is one, and the variant of the advice about it.

    `unproved` is the reason if the token is bound to something that was not proved.
    """

    findings: Sequence[Finding] = ()
    refusal: AuthError | None = None
    variant: str = ""
    unproved: Reason | None = None


def examine(
    dpop: DPoP | None, sent: Sent, text: str, confirmation: Mapping[str, Any] | None, now: float
) -> Examined:
    """Examine how a token was sent.

    `text` is a token that passed every other check, `confirmation` its `cnf`, and `now` is in
    seconds since the epoch.
    """
    bound = confirmation or {}
    if not sent.by_dpop:
        return _without_proof(dpop, bound)
    if dpop is None:
        return _wrong_scheme(UnauthorizedError(), "dpop_off", wants=BEARER, has=DPOP)
    if BY_PROOF not in bound:
        wants = "a token that is bound to a key" if dpop.required else BEARER
        return _wrong_scheme(InvalidTokenError(Reason.UNBOUND), wants=wants, has=DPOP)
    if len(sent.proofs) != 1:
        has, variant = (f"{len(sent.proofs)}", "several") if sent.proofs else ("none", "none")
        finding = Finding("proof", "one proof", has, FAILED, Reason.PROOF)
        return Examined([finding], InvalidProofError(Reason.PROOF), variant)
    examined = _examine_proof(dpop, sent, text, bound[BY_PROOF], now)
    if examined.refusal is None and len(bound) > 1:
        # A certificate cannot be shown here, and other members cannot be proved at all.
        others = {name: value for name, value in bound.items() if name != BY_PROOF}
        return _unproved(dpop, others)._replace(findings=examined.findings)
    return examined


def _without_proof(dpop: DPoP | None, bound: Mapping[str, Any]) -> Examined:
    if dpop is not None and dpop.required and BY_PROOF not in bound:
        return _wrong_scheme(InvalidTokenError(Reason.BEARER), wants=DPOP, has=BEARER)
    return _unproved(dpop, bound) if bound else Examined()


def _wrong_scheme(refusal: AuthError, variant: str = "", *, wants: str, has: str) -> Examined:
    finding = Finding("scheme", wants, has, FAILED, refusal.reason)
    return Examined([finding], refusal, variant)


def _unproved(dpop: DPoP | None, bound: Mapping[str, Any]) -> Examined:
    variant = "mtls" if BY_CERTIFICATE in bound else "other"
    if BY_PROOF in bound:
        variant = "dpop_off" if dpop is None else "dpop"
    return Examined((), InvalidTokenError(Reason.BOUND), variant, Reason.BOUND)


def _examine_proof(dpop: DPoP, sent: Sent, text: str, bound_to: object, now: float) -> Examined:
    [proof] = sent.proofs
    header, claims = _contents(proof)
    method = claims.get("htm")
    refusal: AuthError | None = None
    failed = ""
    try:
        # There is no request, so its method and its address are compared with themselves.
        checked = check_proof(
            proof,
            method=method if isinstance(method, str) and method else "(none)",
            url=_address(claims.get("htu"), sent),
            token=text,
            bound_to=bound_to,
            algorithms=dpop.algorithms,
            now=now,
            window=dpop.window,
        )
    except OtherKeyError:
        failed, refusal = "key", InvalidTokenError(Reason.BOUND)
    except ProofError as error:
        failed, refusal = error.member, InvalidProofError(Reason.PROOF, detail=str(error))
    else:
        if dpop.nonces is not None and not dpop.nonces.accepts(checked.nonce, now):
            failed, refusal = "nonce", InvalidProofError(Reason.NONCE)
    reason = None if refusal is None else refusal.reason
    wanted, found = _wanted(dpop, sent, bound_to), _found(header, claims, now)
    if sent.no_route:
        found["htu"] += ", and no route here has this path"
    findings: list[Finding] = []
    for member in _CHECKED if header or claims else ("form",):
        has, wants = found[member], wanted[member]
        if member == failed:
            findings.append(Finding(f"proof.{member}", wants, has, FAILED, reason))
        elif member in _NEEDS_REQUEST or any(each.status == FAILED for each in findings):
            findings.append(Finding(f"proof.{member}", f"({wants})", has, NOT_CHECKED))
        else:
            findings.append(Finding(f"proof.{member}", wants, has, OK))
    return Examined(findings, refusal, "other_key" if failed == "key" else failed)


def requested(sent: Sent) -> tuple[str, str] | None:
    """Return the method and the path of the request that a proof is for, as the API sees them.

    Return None if there is not exactly one proof, or if it names no address of the API.
    """
    _, claims = _contents(sent.proofs[0]) if len(sent.proofs) == 1 else ({}, {})
    method, named = claims.get("htm"), _address(claims.get("htu"), sent)
    if not named or not isinstance(method, str) or not _METHOD.fullmatch(method):
        return None
    beginning = None if sent.address == _UNKNOWN else normalized(sent.address)
    path = named.removeprefix(beginning.rstrip("/")) if beginning else urlsplit(named).path
    return method, path


def _contents(proof: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    try:
        parsed = parse(proof)
    except ValueError:
        return {}, {}
    return parsed.header, parsed.claims


def _wanted(dpop: DPoP, sent: Sent, bound_to: object) -> dict[str, str]:
    window = dpop.window
    return {
        "form": "a signed JWT",
        "crit": "absent",
        "typ": "dpop+jwt",
        "alg": " or ".join(dpop.algorithms),
        "jwk": "the public key of the client",
        "key": f"the token's, which has the thumbprint {shown(bound_to)}",
        "signature": "made with the key in jwk",
        "jti": "a text that is new in each proof",
        "htm": "the method of the request",
        "htu": f"the address of the request: {sent.address}",
        "iat": f"at most {window.past:g} s ago, at most {window.future:g} s ahead",
        "ath": "the SHA-256 of the access token",
        "nonce": "absent or a text" if dpop.nonces is None else "a nonce of this API",
    }


def _found(header: Mapping[str, Any], claims: Mapping[str, Any], now: float) -> dict[str, str]:
    found = {name: shown(header.get(name, ABSENT)) for name in ("crit", "typ", "alg")}
    found |= {
        name: shown(claims.get(name, ABSENT)) for name in ("jti", "htm", "htu", "ath", "nonce")
    }
    jwk = header.get("jwk")
    try:
        key = f"thumbprint {thumbprint_of(jwk)}" if isinstance(jwk, Mapping) else "none"
    except ValueError:
        key = "none that can be used"
    issued_at = claims.get("iat", ABSENT)
    age = f" ({now - issued_at:.0f} s ago)" if is_numeric_date(issued_at) else ""
    return found | {
        "form": "a signed JWT" if header or claims else "something else",
        "jwk": "an object" if isinstance(jwk, Mapping) else "none",
        "key": key,
        "signature": "one",
        "iat": f"{shown(issued_at)}{age}",
    }


def _address(htu: object, sent: Sent) -> str:
    """Return the address that a proof names, or an empty text if it is none of this API's."""
    named = normalized(htu) if isinstance(htu, str) else None
    beginning = None if sent.address == _UNKNOWN else normalized(sent.address)
    if named is None or (beginning and not named.startswith(f"{beginning.rstrip('/')}/")):
        return ""
    return named
