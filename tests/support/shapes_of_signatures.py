"""Which keys and signatures do tokens have that are refused for them?"""

import base64
from typing import Any

from joserfc.jwk import Key, OctKey

from hello.sandbox.issuer import OMIT, base64url, new_key
from support.real_shapes import ISSUER, Shape, always, by_name
from support.shapes_of_headers import BOTH, SECRET, WITH_SECRET, unsigned

OTHER_SECRET = OctKey.import_key(b"fedcba9876543210" * 4)
IN_BASE64 = OctKey.import_key(base64.b64decode(SECRET))
GIVEN: dict[str, Any] = {"keys": new_key().as_dict(private=False)}
ENTRA = "https://login.microsoftonline.com/8f1c2d3e-0a1b-4c2d-8e3f-112233445566/v2.0"
LOCAL = "http://localhost:9"
IN_COMPOSE: dict[str, Any] = {"jwks_uri": "http://keycloak:8080/keys", "allow_insecure_http": True}


def signature_of(size: int, first: int = 1) -> Any:
    return lambda t: unsigned(t) + base64url(bytes([first]) + bytes(size - 1))


def by(advice: str, name: str, **more: Any) -> Shape:
    return Shape(name, advice, **more)


def another(keys: list[Key]) -> Key:
    """A key that the issuer does not publish."""
    return keys[2]


def unpublished(advice: str, trusted: str, kids: list[str], **options: Any) -> list[Shape]:
    return [
        Shape(kid, f"unknown_key.{advice}", header={"kid": kid}, trusted=trusted, options=options)
        for kid in kids
    ]


KIDS = ["key-of-may", "1", "a b", "x" * 300, "LS1tQ=="]
SIGNATURES = [
    *unpublished("published", ISSUER, KIDS),
    *unpublished("sandbox", LOCAL, KIDS),
    *unpublished("sandbox", ISSUER, ["of a local proxy"], jwks_uri="http://127.0.0.1:8080/keys"),
    *unpublished("published", LOCAL, ["of a container"], **IN_COMPOSE),
    *unpublished("entra", ENTRA, KIDS),
    *unpublished("given", ISSUER, KIDS, **GIVEN),
    *(
        by("unfit_key.unnamed", f"{name}, without kid", header={"kid": OMIT, **header}, named=named)
        for name, header, named in (
            ("two fit", {}, ("RS256",)),
            ("at+jwt", {"typ": "at+jwt"}, ("RS256",)),
            ("no typ", {"typ": OMIT}, ("RS256",)),
            ("x5c", {"x5c": ["a"]}, ("RS256",)),
            ("empty kid", {"kid": ""}, ("RS256",)),
            ("x5t", {"x5t": "unknown"}, ("RS256",)),
        )
    ),
    by(
        "unfit_key.unnamed",
        "none fits",
        header={"kid": OMIT, "alg": "PS512"},
        options={"algorithms": ["ES256", "PS512", "ES384"]},
    ),
    *(
        by(
            "unfit_key.other",
            f"{alg} by {kid}",
            header={"kid": kid, "alg": alg},
            options={"algorithms": ["ES256", "RS256", "RS512", "ES384", "EdDSA"]},
            named=(alg,),
        )
        for kid, alg in (
            ("ec", "RS256"),
            ("ed", "RS256"),
            ("ec", "ES384"),
            ("ed", "ES256"),
            ("ec", "EdDSA"),
        )
    ),
    *(
        by("signature.absent", name, header=header, text=unsigned)
        for name, header in by_name(
            {
                "usual": {},
                "at+jwt": {"typ": "at+jwt"},
                "no typ": {"typ": OMIT},
                "more": {"x5t": "a"},
                "nonce": {"nonce": "n"},
            }
        )
    ),
    *(
        by(
            "signature.removed",
            email,
            claims={"email": email},
            trusted="https://accounts.google.com",
            text=lambda t: f"{unsigned(t)}SIGNATURE_REMOVED_BY_GOOGLE",
        )
        for email in ("a@x.iam.gserviceaccount.com", "b@y", "c@z", "d@x", "e@x")
    ),
    *(
        Shape(
            name,
            "signature.graph",
            claims,
            {"nonce": "n", "kid": "first"},
            trusted="https://sts.windows.net/8f1c2d3e/",
            key=another,
        )
        for name, claims in by_name(
            {
                "Graph": {"aud": "00000003-0000-0000-c000-000000000000"},
                "by address": {"aud": "https://graph.microsoft.com"},
                "slash": {"aud": "https://graph.microsoft.com/"},
                "scopes": {"aud": "https://graph.microsoft.com", "scp": "User.Read"},
                "daemon": {"aud": "https://graph.microsoft.com", "roles": ["r"]},
            }
        )
    ),
    *(
        by("signature.cut_off", f"{size} bytes", text=signature_of(size))
        for size in (1, 64, 128, 252, 255)
    ),
    *(
        by(
            "signature.der",
            f"{size} bytes",
            header={"alg": "ES256", "kid": "ec"},
            options={"algorithms": ["ES256"]},
            text=signature_of(size, 0x30),
        )
        for size in (68, 69, 70, 71, 72)
    ),
    *(
        Shape(
            name,
            "signature.secret",
            {},
            {"alg": "HS256", "kid": "any"},
            key=always(key),
            options=WITH_SECRET,
        )
        for name, key in {
            "another": OTHER_SECRET,
            "decoded": IN_BASE64,
            "shorter": OctKey.import_key(SECRET[:32]),
            "in base64": OctKey.import_key(base64.b64encode(SECRET)),
            "with a line break": OctKey.import_key(SECRET + b"\n"),
        }.items()
    ),
    by("signature.other", "where both", header={"kid": "first"}, key=another, options=BOTH),
    Shape(
        "where both",
        "signature.secret",
        {},
        {"alg": "HS256", "kid": "any"},
        key=always(OTHER_SECRET),
        options=BOTH,
    ),
    by("signature.other", "environment", header={"kid": "first"}, key=another),
    Shape("nonce", "signature.other", {}, {"nonce": "n", "kid": "first"}, key=another),
    by("signature.other", "zeros", text=signature_of(256)),
    by("signature.other", "too long", text=signature_of(300)),
    by(
        "signature.other",
        "ES256",
        header={"alg": "ES256", "kid": "ec"},
        options={"algorithms": ["ES256"]},
        text=signature_of(64, 0x30),
    ),
    Shape("at+jwt", "signature.other", {}, {"typ": "at+jwt", "kid": "first"}, key=another),
]
