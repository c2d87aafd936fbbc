"""Which tokens must be refused, and for which reason?

Each has one flaw: all else, its signature included, is right wherever that can be. So a row fails
as soon as nobody looks for its flaw any more.
"""

import json
import time
from typing import Any

import pytest

from hello.auth import Reason
from hello.sandbox.issuer import OMIT, base64url
from support.forger import (
    Forger,
    Hostile,
    by_attacker,
    certificate,
    claim,
    claims,
    confused,
    decoded,
    each,
    header,
    kid,
    raw_payload,
    rows,
    setting,
    signature,
    signature_over,
    signed_as,
    unsigned,
)
from support.hostile_forms import FORMS, JSON, UNSENDABLE_TOKENS

YEAR_2100 = 4102444800
NO_STRINGS: list[Any] = [None, False, True, 0, 1, 1.5, [], {}, ["x"], {"x": "x"}]
NO_NUMBERS: list[Any] = [None, False, True, "", str(YEAR_2100), [], [YEAR_2100], {}]
NO_DOUBLES = {
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "400 digits": b"9" * 400,
    "minus 400 digits": b"-" + b"9" * 400,
}


def jwk_of_attacker(f: Forger) -> dict[str, Any]:
    return {"jwk": f.attacker.as_dict(private=False)}


def in_an_hour(_: Forger) -> float:
    return time.time() + 3600


ALGORITHMS = [
    *rows(
        Reason.ALGORITHM,
        "no signature, and alg",
        {alg: unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "none ", "n\u00f6ne", "")},
    ),
    *rows(
        Reason.ALGORITHM,
        "key confusion",
        {
            "PEM": confused("HS256", lambda key: key.as_pem(private=False)),
            "PEM, HS384": confused("HS384", lambda key: key.as_pem(private=False)),
            "PEM, HS512": confused("HS512", lambda key: key.as_pem(private=False)),
            "trimmed PEM": confused("HS256", lambda key: key.as_pem(private=False).strip()),
            "DER": confused("HS256", lambda key: key.as_der(private=False)),
            "JWK": confused("HS256", lambda key: json.dumps(key.as_dict()).encode()),
            "modulus": confused("HS256", lambda key: decoded(str(key.as_dict()["n"]))),
            "modulus as text": confused("HS256", lambda key: str(key.as_dict()["n"]).encode()),
            "nothing": confused("HS256", lambda _: b""),
        },
    ),
    *rows(
        Reason.ALGORITHM,
        "rightly signed, not allowed",
        {alg: signed_as(alg, alg) for alg in ("RS384", "RS512", "PS256", "PS384", "PS512")},
    ),
    # From here on the signature is RS256's, whatever is said.
    *each(Reason.ALGORITHM, header, "alg", [OMIT, None, 0, 256, True, [], ["RS256"], {}]),
    *each(Reason.ALGORITHM, header, "alg", [{"RS256": 1}, "rs256", "Rs256", "RS256 ", " RS256"]),
    *each(
        Reason.ALGORITHM, header, "alg", ["RS256\x00", "RS25", "RS2566", "RS256,none", "A" * 4000]
    ),
    *each(Reason.ALGORITHM, header, "alg", ["none", "HS256", "RS384", "PS256", "ES256", "EdDSA"]),
    *each(Reason.ALGORITHM, header, "alg", ["Ed25519", "RSA-OAEP", "dir", "RSA-SHA256"]),
]

PARAMETERS = [
    *each(Reason.TYPE, header, "typ", [*NO_STRINGS, ["at+jwt"], ""]),
    *each(Reason.TYPE, header, "typ", ["dpop+jwt", "logout+jwt", "secevent+jwt", "id+jwt", "JWE"]),
    *each(Reason.TYPE, header, "typ", ["JOSE", "kb+jwt", "token-introspection+jwt", "text/at+jwt"]),
    *each(Reason.TYPE, header, "typ", ["application/jwt", "application/dpop+jwt", "at jwt"]),
    *each(Reason.TYPE, header, "typ", ["at+jwt ", "at+jwt\x00", "at+jwt; charset=utf-8"]),
    *each(Reason.CRITICAL, header, "crit", [*NO_STRINGS, "exp", ["exp"], ["alg"], ["crit"], [1]]),
    *each(Reason.CRITICAL, header, "b64", [True, False, None, 0, "false"]),
    *rows(Reason.CRITICAL, "b64 and crit", {"": header(b64=False, crit=["b64"])}),
    *each(Reason.HEADER, header, "kid", NO_STRINGS),
    *each(Reason.UNKNOWN_KEY, header, "kid", ["nobody's", "0", "null", "*", "\x00", "\ud800"]),
    *each(Reason.UNKNOWN_KEY, header, "kid", ["../../../../../dev/null", "/dev/null", "k" * 4000]),
    *each(Reason.UNKNOWN_KEY, header, "kid", ["' OR '1'='1", "x' UNION SELECT 'secret", "`id`"]),
    *each(Reason.UNKNOWN_KEY, header, "kid", ["${jndi:ldap://localhost:9/x}", "\r\nrefused 200"]),
    *rows(
        Reason.UNKNOWN_KEY,
        "the right kid",
        {
            "in upper case": kid(lambda f: str(f.issuer.key.kid).upper()),
            "and a space": kid(lambda f: f"{f.issuer.key.kid} "),
            "less a character": kid(lambda f: str(f.issuer.key.kid)[:-1]),
        },
    ),
    *rows(
        Reason.UNFIT_KEY, "two keys", {"no kid": header(kid=OMIT), "an empty kid": header(kid="")}
    ),
    *rows(Reason.SIGNATURE, "another key's kid", {"": kid(lambda f: f.other.kid)}),
]

SIGNATURES = [
    *rows(
        Reason.SIGNATURE,
        "the attacker's signature",
        {
            "and no more": by_attacker(lambda _: {}),
            "jwk": by_attacker(jwk_of_attacker),
            "jku": by_attacker(lambda f: {"jku": f.trap}),
            "jku that begins like the issuer": by_attacker(
                lambda f: {"jku": f"{f.issuer.url[:-1]}@{f.trap.removeprefix('http://')}"}
            ),
            "x5u": by_attacker(lambda f: {"x5u": f.trap}),
            "x5c": by_attacker(lambda f: {"x5c": [certificate(f.attacker)]}),
        },
    ),
    *rows(
        Reason.UNKNOWN_KEY,
        "the attacker's signature and kid",
        {
            "and no more": by_attacker(lambda f: {"kid": f.attacker.kid}),
            "jwk": by_attacker(lambda f: {"kid": f.attacker.kid, **jwk_of_attacker(f)}),
            "jku": by_attacker(lambda f: {"kid": f.attacker.kid, "jku": f.trap}),
            "x5u": by_attacker(lambda f: {"kid": f.attacker.kid, "x5u": f.trap}),
            "a kid that is a URL": by_attacker(lambda f: {"kid": f.trap}),
        },
    ),
    *rows(
        Reason.UNFIT_KEY,
        "the attacker's signature, no kid",
        {
            "jwk": by_attacker(lambda f: {"kid": OMIT, **jwk_of_attacker(f)}),
            "jku": by_attacker(lambda f: {"kid": OMIT, "jku": f.trap}),
        },
    ),
    *rows(
        Reason.SIGNATURE,
        "signature",
        {
            "empty": signature(lambda _: b""),
            "one byte": signature(lambda _: b"\x00"),
            "zeros": signature(lambda s: bytes(len(s))),
            "ones": signature(lambda s: b"\xff" * len(s)),
            "first bit flipped": signature(lambda s: bytes([s[0] ^ 128]) + s[1:]),
            "last bit flipped": signature(lambda s: s[:-1] + bytes([s[-1] ^ 1])),
            "less the first byte": signature(lambda s: s[1:]),
            "less the last byte": signature(lambda s: s[:-1]),
            "a zero before": signature(lambda s: b"\x00" + s),
            "a zero behind": signature(lambda s: s + b"\x00"),
            "doubled": signature(lambda s: s + s),
            "reversed": signature(lambda s: s[::-1]),
            "of another payload": signature_over(lambda h, _: f"{h}.{base64url(b'{}')}"),
            "of another header": signature_over(lambda _, p: f"{base64url(b'{}')}.{p}"),
            "of the payload alone": signature_over(lambda _, p: p),
            "of the decoded text": signature_over(
                lambda h, p: f"{decoded(h).decode()}.{decoded(p).decode()}"
            ),
            "by the other key": lambda f: f.forge(key=f.other),
            "by RS512": signed_as("RS512", "RS256"),
            "by PS256": signed_as("PS256", "RS256"),
        },
    ),
]

ISSUERS = [
    *each(Reason.ISSUER, claims, "iss", [OMIT, *NO_STRINGS, "", "localhost"]),
    *rows(
        Reason.ISSUER,
        "iss",
        {
            "no slash": claim("iss", lambda f: f.issuer.url[:-1]),
            "two slashes": claim("iss", lambda f: f"{f.issuer.url}/"),
            "a space behind": claim("iss", lambda f: f"{f.issuer.url} "),
            "a space before": claim("iss", lambda f: f" {f.issuer.url}"),
            "a NUL behind": claim("iss", lambda f: f"{f.issuer.url}\x00"),
            "in upper case": claim("iss", lambda f: f.issuer.url.upper()),
            "https": claim("iss", lambda f: f.issuer.url.replace("http:", "https:")),
            "no scheme": claim("iss", lambda f: f.issuer.url.removeprefix("http:")),
            "no port": claim("iss", lambda f: f"{f.issuer.url.rpartition(':')[0]}/"),
            "a user before the host": claim("iss", lambda f: f.issuer.url.replace("//", "//x@")),
            "an equivalent path": claim("iss", lambda f: f"{f.issuer.url}./"),
            "in a list": claim("iss", lambda f: [f.issuer.url]),
            "in an object": claim("iss", lambda f: {"url": f.issuer.url}),
            "in a longer string": claim("iss", lambda f: f"{f.trap}?{f.issuer.url}"),
            "another": claim("iss", lambda f: f.trap),
        },
    ),
]

AUDIENCES = [
    *each(Reason.AUDIENCE, claims, "aud", [OMIT, *NO_STRINGS, "", "https://", "*", [""], [None]]),
    *rows(
        Reason.AUDIENCE,
        "aud",
        {
            "the beginning": claim("aud", lambda f: f.issuer.audience[:-1]),
            "the end": claim("aud", lambda f: f.issuer.audience[1:]),
            "and a slash": claim("aud", lambda f: f"{f.issuer.audience}/"),
            "and a space": claim("aud", lambda f: f"{f.issuer.audience} "),
            "in upper case": claim("aud", lambda f: f.issuer.audience.upper()),
            "among words": claim("aud", lambda f: f"x {f.issuer.audience} y"),
            "the beginning, in a list": claim("aud", lambda f: [f.issuer.audience[:-1]]),
            "longer, in a list": claim("aud", lambda f: [f"{f.issuer.audience}.evil"]),
            "in a list of lists": claim("aud", lambda f: [[f.issuer.audience]]),
            "beside a number": claim("aud", lambda f: [f.issuer.audience, 1]),
            "beside null": claim("aud", lambda f: [None, f.issuer.audience]),
            "beside a list": claim("aud", lambda f: [f.issuer.audience, []]),
            "as a name": claim("aud", lambda f: {f.issuer.audience: True}),
        },
    ),
]

TIMES = [
    *each(Reason.EXPIRY, claims, "exp", [OMIT, *NO_NUMBERS]),
    *each(Reason.CLAIM_TYPE, claims, "nbf", NO_NUMBERS),
    *each(Reason.CLAIM_TYPE, claims, "iat", NO_NUMBERS),
    *(
        row
        for name, reason in {
            "exp": Reason.EXPIRY,
            "nbf": Reason.CLAIM_TYPE,
            "iat": Reason.CLAIM_TYPE,
        }.items()
        for row in rows(
            reason, name, {n: raw_payload(setting(name, v)) for n, v in NO_DOUBLES.items()}
        )
    ),
    *each(Reason.EXPIRED, claims, "exp", [0, 1, 1.5, -1, -1e308, 1700000000]),
    *rows(Reason.EXPIRED, "exp", {"just past": claim("exp", lambda _: int(time.time()) - 5)}),
    *each(Reason.NOT_YET_VALID, claims, "nbf", [YEAR_2100, 1e308]),
    *rows(Reason.NOT_YET_VALID, "nbf", {"in an hour": claim("nbf", in_an_hour)}),
    *each(Reason.ISSUED_AT, claims, "iat", [YEAR_2100, 1e308]),
    *rows(Reason.ISSUED_AT, "iat", {"in an hour": claim("iat", in_an_hour)}),
]

GRANTS = [
    *each(Reason.CLAIM_TYPE, claims, "sub", NO_STRINGS),
    *each(Reason.CLAIM_TYPE, claims, "scope", [None, False, True, 0, 1.5, {}, {"a": 1}]),
    *each(Reason.CLAIM_TYPE, claims, "scope", [[1], ["a", None], [["a"]], [{}]]),
    *each(Reason.CLAIM_TYPE, claims, "permissions", [None, False, True, 0, {}, {"read": 1}, ""]),
    *each(Reason.CLAIM_TYPE, claims, "permissions", ["read", [1], ["read", None], [["read"]]]),
    *each(Reason.BOUND, claims, "cnf", [*NO_STRINGS, "", {"jkt": "x"}, {"x5t#S256": "x"}]),
    *rows(
        Reason.EXPIRED,
        "a sub for the log",
        {
            "a line": claims(exp=1, sub="x\r\n2026 WARNING hello.auth: refused 200"),
            "an escape": claims(exp=1, sub="\x1b[2J\x00\x7f\u2028\u202e"),
            "a surrogate": claims(exp=1, sub="\ud800"),
        },
    ),
]

HOSTILE_TOKENS = [
    *ALGORITHMS,
    *PARAMETERS,
    *SIGNATURES,
    *FORMS,
    *JSON,
    *ISSUERS,
    *AUDIENCES,
    *TIMES,
    *GRANTS,
]
"""Tokens that any client can send."""

EVERY_TOKEN = [*HOSTILE_TOKENS, *UNSENDABLE_TOKENS]


def named(tokens: list[Hostile]) -> pytest.MarkDecorator:
    ids = [f"{row.reason}: {row.name}" for row in tokens]
    return pytest.mark.parametrize("hostile", tokens, ids=ids)
