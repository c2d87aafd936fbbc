"""Which times and other claims do tokens have that are refused for them?"""

from typing import Any

from hello.sandbox.issuer import OMIT
from support.real_shapes import NOW, Shape, by_name


def each(advice: str, claim: str, *values: Any, **more: Any) -> list[Shape]:
    return [Shape(f"{claim} {str(v)[:30]}", advice, {claim: v}, **more) for v in values]


def required(*claims: str, **more: Any) -> dict[str, Any]:
    return {"settings": {"required_claims": claims, **more}}


STRICT = {"client_id": "c", "jti": "j", "sub": "s"}
TIMES = [
    *each("expired.ago", "exp", NOW - 3600, named=("60 minutes",)),
    *each("expired.ago", "exp", NOW - 10, NOW - 7199.5, NOW - 86400 * 400, 315_532_800),
    *each("expired.duration", "exp", 3600, 86400, 1, 900.5, 31_536_000),
    *each("expired.never", "exp", 0, -1, -3600, -1e300, -0.5),
    *(
        Shape(name, "expiry.absent", {"exp": OMIT, **claims})
        for name, claims in by_name(
            {
                "nothing": {},
                "personal access token": {"sub": "1", "scopes": ["a"]},
                "Kubernetes": {"sub": "system:serviceaccount:a:b"},
                "expires_in": {"expires_in": 3600},
                "iat": {"iat": NOW - 5},
            }
        )
    ),
    *(
        Shape(name, "expiry.null", {"exp": None, **claims})
        for name, claims in by_name(
            {
                "alone": {},
                "no iat": {"iat": OMIT},
                "scope": {"scope": "a"},
                "sub": {"sub": "a"},
                "azp": {"azp": "a"},
            }
        )
    ),
    *each("expiry.text", "exp", str(NOW + 60), "2027-01-15T08:00:00Z", "", "never", "1h"),
    *each("expiry.wrong", "exp", *(True, False), named=("true or false",)),
    *each("expiry.wrong", "exp", [NOW], {"t": NOW}, 10**400, [], ["a"]),
    *each("not_yet_valid.ahead", "nbf", NOW + 6, NOW + 60, NOW + 3600, NOW + 86400 * 30),
    *each("not_yet_valid.ahead", "nbf", NOW + 7200, named=("2 hours", "5 s")),
    *each("not_yet_valid.unit", "nbf", NOW * 1000, NOW * 1000 + 0.5, named=("milliseconds",)),
    *each("not_yet_valid.unit", "nbf", NOW * 10**6, named=("microseconds",)),
    *each("not_yet_valid.unit", "nbf", NOW * 10**9, NOW * 10**9 + 1, named=("nanoseconds",)),
    *each("issued_at.ahead", "iat", NOW + 6, NOW + 90, NOW + 3600, NOW + 19800, NOW + 86400),
    *each("issued_at.unit", "iat", NOW * 1000, NOW * 1000 + 999, named=("milliseconds",)),
    *each("issued_at.unit", "iat", NOW * 10**6, named=("microseconds",)),
    *each("issued_at.unit", "iat", NOW * 10**9, NOW * 1000.5),
    *each("too_old.ago", "iat", NOW - 86400, settings={"max_age": 3600}, named=("24 hours", 3600)),
    *each("too_old.ago", "iat", NOW - 65, NOW - 100, NOW - 10**7, settings={"max_age": 60}),
    *each("too_old.ago", "iat", 315_532_800, settings={"max_age": 60}),
    *each("too_old.duration", "iat", 0, 1, -5, 3600, 0.5, settings={"max_age": 60}),
]

CLAIMS = [
    *each("claim_type.wrong", "sub", 7, *(True, ["a"]), {"a": 1}, named=("sub", "a string")),
    *each("claim_type.wrong", "scope", 7, [1], {"a": 1}, ["a", None], named=("scope",)),
    *each("claim_type.wrong", "scp", 7, [["a"]], *(True, {"a": 1}), named=("scp",)),
    *each(
        "claim_type.wrong", "permissions", "a b", [1], 7, {"a": 1}, named=("permissions", "list")
    ),
    *(
        Shape(
            f"strict {name}",
            "claim_type.wrong",
            {**STRICT, name: 7},
            {"typ": "at+jwt"},
            settings={"strict": True},
            named=(name, "number"),
        )
        for name in ("client_id", "jti")
    ),
    Shape("two", "claim_type.wrong", {"sub": 7, "scope": 7}, named=("sub",)),
    *each("claim_type.null", "sub", None, named=("sub",)),
    *each("claim_type.null", "scope", None, named=("scope",)),
    *each("claim_type.null", "scp", None, named=("scp",)),
    *each("claim_type.null", "permissions", None, named=("permissions",)),
    *each("claim_type.null", "nbf", None, named=("nbf",)),
    *each("claim_type.null", "iat", None, named=("iat",)),
    *each(
        "claim_type.time", "iat", str(NOW), "2027-01-15", *(True, [NOW]), 10**400, named=("iat",)
    ),
    *each("claim_type.time", "nbf", str(NOW), "", *(False, {"a": 1}), -(10**400), named=("nbf",)),
    *(
        Shape(f"no {name}", "missing_claim.absent", named=(name,), **required(name))
        for name in ("sub", "org_id", "email", "azp", "https://example.com/roles")
    ),
    *(
        Shape(f"no cnf, {name}", "missing_claim.cnf", claims, named=("cnf",), **required("cnf"))
        for name, claims in (
            ("a program", {}),
            ("a person", {"sub": "alice"}),
            ("Auth0", {"azp": "client", "gty": "client-credentials"}),
            ("Keycloak", {"typ": "Bearer"}),
            ("Okta", {"cid": "client", "scp": ["a"]}),
        )
    ),
    *(
        Shape(f"{name} null", "missing_claim.null", {name: None}, named=(name,), **required(name))
        for name in ("org_id", "email", "azp", "tid", "jti")
    ),
    *(
        Shape(
            f"max_age {age}",
            "missing_claim.max_age",
            {"iat": OMIT},
            settings={"max_age": age, **more},
            named=("iat",),
        )
        for age, more in (
            (60, {}),
            (3600, {}),
            (86400, {}),
            (0.5, {}),
            (1, {"required_claims": ["iat"]}),
        )
    ),
    *(
        Shape(
            f"strict, no {name}",
            "missing_claim.strict",
            {**STRICT, name: OMIT},
            {"typ": "at+jwt"},
            settings={"strict": True},
            named=(name,),
        )
        for name in ("client_id", "jti", "sub", "iat")
    ),
    Shape(
        "strict Entra ID",
        "missing_claim.strict",
        {**STRICT, "client_id": OMIT, "azp": "c"},
        {"typ": "AT+JWT"},
        settings={"strict": True},
        named=("client_id",),
    ),
    *each("bound.dpop", "cnf", {"jkt": "x"}, {"jkt": "x", "x5t#S256": "y"}, {"jkt": ""}),
    *each("bound.dpop", "cnf", {"jkt": None}, {"jkt": "x", "kid": "a"}),
    *(
        Shape(f"DPoP is off, {number}", "bound.dpop_off", {"cnf": cnf}, settings={"dpop": "off"})
        for number, cnf in enumerate(
            ({"jkt": "x"}, {"jkt": "x", "x5t#S256": "y"}, {"jkt": ""}, {"jkt": None}, {"jkt": 1})
        )
    ),
    *each("bound.mtls", "cnf", {"x5t#S256": "x"}, {"x5t#S256": ""}, {"x5t#S256": "x", "kid": "a"}),
    *each("bound.mtls", "cnf", {"x5t#S256": None}, {"x5t#S256": ["x"]}),
    *each("bound.other", "cnf", {"kid": "x"}, {"jwk": {}}, {"jwe": "x"}, {"jku": "x"}, {"x5t": 1}),
    *each("bound.empty", "cnf", {}, None, "x", [], 7),
    *(
        Shape(f"revoked, {name}", "revoked", claims, settings={"revoked": lambda _token: True})
        for name, claims in by_name(
            {
                "sub": {"sub": "a"},
                "jti": {"jti": "a"},
                "sid": {"sid": "a"},
                "machine": {"azp": "a"},
                "nothing": {},
            }
        )
    ),
]
