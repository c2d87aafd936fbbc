"""Which headers do tokens have that are refused for them?"""

from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey

from hello.sandbox.issuer import OMIT
from support.real_shapes import Shape, always, by_name

EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
SECRET = b"0123456789abcdef" * 4
SECRET_KEY = OctKey.import_key(SECRET)
WITH_SECRET: dict[str, Any] = {"secret": SECRET, "algorithms": ["HS256"]}
# As an issuer that signs with both needs it.
BOTH: dict[str, Any] = {"secret": SECRET, "algorithms": ["HS256", "RS256"]}


def typed(advice: str, *types: Any, **settings: Any) -> list[Shape]:
    return [
        Shape(str(typ), f"type.{advice}", header={"typ": typ}, settings=settings) for typ in types
    ]


def signed(advice: str, alg: str, key: Key, name: str, *named: object, **claims: Any) -> Shape:
    return Shape(name, f"algorithm.{advice}", claims, {"alg": alg}, key=always(key), named=named)


def unsigned(token: str) -> str:
    return token[: token.rindex(".") + 1]


HEADERS = [
    *(
        Shape(f"kid {kid}", "header.kid", header={"kid": kid}, named=named)
        for kid, named in (
            (7, ("number",)),
            (1.5, ("number",)),
            (True, ("true or false",)),
            (["a"], ("list",)),
            ([1], ("list",)),
            ({"a": 1}, ("object",)),
        )
    ),
    *(
        Shape(f"kid null and {name}", "header.null", header={"kid": None, **header})
        for name, header in by_name(
            {
                "no more": {},
                "typ": {"typ": "at+jwt"},
                "no typ": {"typ": OMIT},
                "x5t": {"x5t": "a"},
                "alg": {"alg": "ES256"},
            }
        )
    ),
    *(
        Shape(f"crit {name}", "critical.crit", header={"crit": crit, **more})
        for name, crit, more in (
            ("exp", ["exp"], {}),
            ("empty", [], {}),
            ("b64", ["b64"], {"b64": False}),
            ("Open Banking", ["b64", "http://openbanking.org.uk/iat"], {"b64": False}),
            ("text", "exp", {}),
            ("null", None, {}),
        )
    ),
    *(
        Shape(f"b64 {name}", "critical.b64", header={"b64": b64})
        for name, b64 in (("off", False), ("on", True), ("null", None), ("text", "a"), ("zero", 0))
    ),
    *typed("event", "logout+jwt", "LOGOUT+JWT", "secevent+jwt", "application/secevent+jwt"),
    *typed("event", "application/logout+jwt"),
    *typed("proof", "dpop+jwt", "DPoP+JWT", "application/dpop+jwt"),
    Shape("proof with nonce", "type.proof", {"nonce": "n", "htm": "GET"}, {"typ": "dpop+jwt"}),
    Shape("strict proof", "type.proof", header={"typ": "dpop+jwt"}, settings={"strict": True}),
    *typed("okta", "application/okta-internal-at+jwt", "okta-internal-at+jwt"),
    *(
        Shape(f"Okta, {name}", "type.okta", claims, {"typ": "application/okta-internal-at+jwt"})
        for name, claims in by_name(
            {
                "aud": {"aud": "https://dev-123456.okta.com"},
                "scp": {"scp": ["openid"]},
                "cid": {"cid": "0oa1"},
            }
        )
    ),
    *typed("refresh_token", "Refresh", "refresh+jwt", "application/rt+jwt", "refresh_token"),
    Shape("Keycloak's", "type.refresh_token", {"typ": "Refresh"}, {"typ": "JWS"}),
    *typed("id_token", "id_token+jwt", "id-token+jwt", "application/id_token", "IdToken"),
    *typed("other", "token-introspection+jwt", "oauth-authz-req+jwt", "kb+jwt"),
    *typed("other", "entity-statement+jwt", "client-authentication+jwt"),
    *typed("unusual", "JWS", "JOSE", "application/jwt-at", "at-jwt", "access_token", "vc+jwt"),
    *typed("no_text", 7, ["JWT"], {"a": 1}, *(True, 1.5)),
    *(
        Shape(f"null, {name}", "type.null", claims, {"typ": None})
        for name, claims in by_name(
            {
                "alone": {},
                "scope": {"scope": "a"},
                "aud": {"aud": "b"},
                "sub": {"sub": "a"},
                "expired": {"exp": 1},
            }
        )
    ),
    *(
        Shape(name, "type.id_token", claims, {"typ": typ}, settings={"strict": True})
        for name, typ, claims in (
            ("Auth0", "JWT", {"aud": "c", "nonce": "n"}),
            ("Okta", OMIT, {"aud": "c", "at_hash": "h"}),
            ("Keycloak", "JWT", {"aud": "c", "typ": "ID"}),
            ("Cognito", OMIT, {"aud": "c", "token_use": "id"}),
            ("unusual", "JWS", {"aud": "c", "c_hash": "h"}),
        )
    ),
    *(
        Shape(
            name,
            f"type.{advice}",
            {"client_id": "c", "azp": "c", **claims},
            options={"audience": "c", "audience_claim": "client_id"},
        )
        for name, advice, claims in (
            ("Cognito by client", "id_token", {"aud": "c", "token_use": "id"}),
            ("Keycloak by client", "id_token", {"aud": "b", "typ": "ID"}),
            ("Okta by client", "id_token", {"aud": "c", "at_hash": "h"}),
            ("by client", "for_client", {"aud": "c"}),
            ("by client, in a list", "for_client", {"aud": ["c"]}),
            ("by client, with others", "for_client", {"aud": ["b", "c"]}),
            ("by client, azp", "for_client", {"aud": "c", "azp": "c", "scope": "a"}),
            ("by client, sid", "for_client", {"aud": "c", "sid": "s"}),
            ("refresh", "refresh_token", {"token_use": "refresh", "aud": "b"}),
            ("number", "token_use", {"token_use": 7, "aud": "b"}),
            ("text", "token_use", {"token_use": "", "aud": "b"}),
            ("null", "token_use", {"token_use": None, "aud": "b"}),
            ("a list", "token_use", {"token_use": ["access"], "aud": "b"}),
            ("upper case", "token_use", {"token_use": "ACCESS", "aud": "b"}),
        )
    ),
    *(
        Shape(name, "type.strict", claims, {"typ": typ}, settings={"strict": True})
        for name, typ, claims in (
            ("Auth0", "JWT", {"azp": "c", "scope": "a"}),
            ("Okta", OMIT, {"cid": "c"}),
            ("Keycloak before 25", "JWT", {"typ": "Bearer", "nonce": "n"}),
            ("lower case", "jwt", {}),
            ("Entra ID", "JWT", {"scp": "a", "nonce": "n"}),
            ("null", None, {}),
        )
    ),
    *(
        Shape(f"alg {alg}", "algorithm.absent", header={"alg": alg})
        for alg in list[Any]((OMIT, None, "", 7, ["RS256"], {}))
    ),
    *(
        Shape(f"alg {alg}", "algorithm.unsigned", header={"alg": alg}, text=unsigned)
        for alg in ("none", "None", "NONE", "nOnE")
    ),
    Shape("none, and signed", "algorithm.unsigned", header={"alg": "none"}, named=("RS256",)),
    *(
        Shape(f"alg {alg}", "algorithm.letters", header={"alg": alg}, named=("RS256",))
        for alg in ("rs256", "Rs256", "rS256")
    ),
    Shape("es256", "algorithm.letters", header={"alg": "es256"}, options={"algorithms": ["ES256"]}),
    Shape("hs256", "algorithm.letters", header={"alg": "hs256"}, options=WITH_SECRET),
    *(
        signed("refresh_token", alg, SECRET_KEY, name, typ=typ)
        for name, alg, typ in (
            ("Keycloak", "HS512", "Refresh"),
            ("older", "HS256", "Refresh"),
            ("offline", "HS512", "Offline"),
            ("older and offline", "HS256", "Offline"),
            ("HS384", "HS384", "Refresh"),
        )
    ),
    signed("secret", "HS256", SECRET_KEY, "Auth0", "RS256", azp="c"),
    signed("secret", "HS256", SECRET_KEY, "Supabase", "RS256", aud="authenticated"),
    signed("secret", "HS384", SECRET_KEY, "HS384", "secret=..."),
    signed("secret", "HS512", SECRET_KEY, "Laravel", sub="1"),
    signed("secret", "HS256", SECRET_KEY, "Firebase emulator", user_id="a"),
    *(
        Shape(
            f"{alg} for {accepted}",
            "algorithm.other_secret",
            {},
            {"alg": alg},
            key=always(SECRET_KEY),
            options={"secret": SECRET, "algorithms": [accepted]},
            named=(accepted,),
        )
        for alg, accepted in (
            ("HS512", "HS256"),
            ("HS384", "HS256"),
            ("HS256", "HS512"),
            ("HS384", "HS512"),
            ("HS256", "HS384"),
        )
    ),
    *(
        Shape(alg, "algorithm.public_key", header={"alg": alg}, options=WITH_SECRET, named=(alg,))
        for alg in ("RS256", "PS256", "RS512", "RS384", "PS512")
    ),
    signed("other", "ES256", EC, "ES256", "RS256", "ES256"),
    *(
        Shape(alg, "algorithm.other", header={"alg": alg}, named=("RS256", alg))
        for alg in ("RS512", "PS256", "RS384", "EdDSA")
    ),
    Shape("ES256 for both", "algorithm.other", header={"alg": "ES256"}, options=BOTH),
    *(
        Shape(str(alg), "algorithm.unsupported", header={"alg": alg}, named=("RS256", "ES256"))
        for alg in ("HSx", "RSA-OAEP", "dir", "ML-DSA-44", "RS1")
    ),
]
