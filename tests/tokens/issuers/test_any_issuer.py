"""Issuers of every kind: what are they called, where are their keys, and what do they write?"""

import hmac
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey

from hello.auth import FetchError, Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer, base64url, sign
from hello.tokens.keys.discovery import Place
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.naming import naming
from support.validators import presented, reason_for

SECRET = b"0123456789abcdef" * 2
CLIENT = "a-client"


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


def trusting(issuer: Issuer, clock: FakeClock, /, **options: Any) -> TokenValidator:
    """A validator of an issuer's tokens."""
    usual = {"issuer": issuer.url, "audience": AUDIENCE}
    return TokenValidator(issuers=[TrustedIssuer(**usual | options)], clock=clock)


def jwks_uri(issuer: Issuer) -> str:
    return f"{issuer.url}.well-known/jwks.json"


NAMES = [
    "http://adfs.corp.example/adfs/services/trust",
    "https://id.example.com/?q#f",
    "https://idp.example.com",
    "issuer.example.com",
    "kubernetes/serviceaccount",
    "robot@project.iam.gserviceaccount.com",
    "urn:example:issuer",
    "the issuer of Zürich",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fetched", [True, False])
async def test_an_issuer_may_have_any_name(
    issuer: FailingIssuer, clock: FakeClock, name: str, *, fetched: bool
) -> None:
    """Wherever its keys are found without it. The name is compared exactly."""
    place = {"jwks_uri": jwks_uri(issuer)} if fetched else {"keys": issuer.published[0]}
    validator = trusting(issuer, clock, issuer=name, **place)
    token = await validator.validate(presented(issuer.mint(claims={"iss": name})))
    assert token.issuer == name
    for other in (f"{name}/", name.upper(), "", [name], OMIT, None):
        assert await reason_for(validator, issuer.mint(claims={"iss": other})) is Reason.ISSUER
    await validator.close()
    if not name.startswith("https:"):
        with pytest.raises(ValueError, match=naming("issuer", repr(name), "jwks_uri")):
            TrustedIssuer(issuer=name, audience=AUDIENCE)


KEYCLOAK = "http://keycloak:8080/realms/hello"


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": KEYCLOAK},
        {"issuer": "http://localhost:8080/realms/hello", "jwks_uri": f"{KEYCLOAK}/certs"},
        {"issuer": "https://id.example.com/", "jwks_uri": f"{KEYCLOAK}/certs"},
    ],
)
def test_plain_http_is_the_operators_word(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="allow_insecure_http"):
        TrustedIssuer(audience=AUDIENCE, **options)
    TrustedIssuer(audience=AUDIENCE, allow_insecure_http=True, **options)
    with pytest.raises(ValueError, match=naming("jwks_uri", "'ftp://keycloak/'")):
        TrustedIssuer(
            audience=AUDIENCE,
            allow_insecure_http=True,
            issuer=KEYCLOAK,
            jwks_uri="ftp://keycloak/",
        )


@pytest.mark.parametrize(
    ("issuer", "found", "allow", "good"),
    [
        (KEYCLOAK, f"{KEYCLOAK}/certs", True, True),
        ("https://id.example.com/", f"{KEYCLOAK}/certs", True, True),
        (KEYCLOAK, "https://id.example.com/certs", True, True),
        ("https://id.example.com/", f"{KEYCLOAK}/certs", False, False),
        ("https://id.example.com/", "http://localhost/certs", False, False),
        (KEYCLOAK, "file:///etc/passwd", True, False),
    ],
)
async def test_what_the_metadata_names_is_fetched_as_the_operator_allows(
    keys: list[Key], issuer: str, found: str, *, allow: bool, good: bool
) -> None:
    place = Place(issuer=issuer, jwks_uri=None, allow_insecure_http=allow)
    asked = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        public = {"keys": [keys[0].as_dict(private=False)]}
        document = public if url == found else {"issuer": issuer, "jwks_uri": found}
        return json.dumps(document).encode()

    if good:
        assert len(await place.load(fetch)) == 1
    else:
        with pytest.raises(FetchError, match="jwks_uri"):
            await place.load(fetch)
    assert (found in asked) is good


def signed(issuer: str, key: Key, alg: str, **header: Any) -> str:
    claims = {"iss": issuer, "aud": AUDIENCE, "exp": 4_000_000_000, "sub": "alice"}
    return sign({"alg": alg, **header}, claims, key)


@pytest.mark.parametrize("source", ["discovery", "jwks_uri", "keys"])
async def test_an_issuer_may_have_a_secret_and_keys(
    issuer: FailingIssuer, clock: FakeClock, source: str
) -> None:
    """As Supabase has while a project moves from one to the other. Each has its own algorithms."""
    curve = ECKey.generate_key("P-256", {"kid": "curve"})
    issuer.published = [curve.as_dict(private=False)]
    given: dict[str, dict[str, Any]] = {
        "discovery": {},
        "jwks_uri": {"jwks_uri": jwks_uri(issuer)},
        "keys": {"keys": issuer.published[0]},
    }
    validator = trusting(
        issuer, clock, secret=SECRET, algorithms=["HS256", "ES256"], **given[source]
    )
    for token in (
        signed(issuer.url, OctKey.import_key(SECRET), "HS256"),
        signed(issuer.url, OctKey.import_key(SECRET), "HS256", kid="curve"),
        signed(issuer.url, curve, "ES256", kid="curve"),
    ):
        assert (await validator.validate(presented(token))).subject == "alice"
    # The classic confusion: what is public is taken for a secret.
    public = curve.as_dict(private=False)
    for known in (curve.as_pem(private=False), json.dumps(public).encode(), b"curve"):
        for header in ({}, {"kid": "curve"}):
            token = signed(issuer.url, OctKey.import_key(SECRET), "HS256", **header)
            signing_input = token.rpartition(".")[0]
            mac = base64url(hmac.digest(known, signing_input.encode(), "sha256"))
            assert await reason_for(validator, f"{signing_input}.{mac}") is Reason.SIGNATURE
    other = ECKey.generate_key("P-256")
    assert await reason_for(validator, signed(issuer.url, other, "ES256", kid="curve")) is (
        Reason.SIGNATURE
    )
    assert await reason_for(validator, signed(issuer.url, issuer.key, "RS256")) is Reason.ALGORITHM
    assert validator.issuers.keys_of(validator.issuers.listed[0], "ES256").kids == {"curve"}
    await validator.close()


def test_a_secret_alone_fetches_nothing_and_with_keys_each_has_its_usual_algorithm() -> None:
    usual = {"issuer": "https://ours.example.com", "audience": AUDIENCE, "secret": SECRET}
    alone = TrustedIssuer(**usual)  # type: ignore[arg-type]
    assert alone.place is None
    assert alone.algorithms == {"HS256"}
    both = TrustedIssuer(**usual, jwks_uri="https://ours.example.com/jwks")  # type: ignore[arg-type]
    assert both.algorithms == {"HS256", "RS256"}
    assert both.place is not None


def test_a_public_key_is_no_secret() -> None:
    """Whoever has it could make tokens."""
    pem = ECKey.generate_key("P-256").as_pem(private=False)
    for secret in (pem, pem.decode()):
        with pytest.raises(ValueError, match=naming("secret", "keys")):
            TrustedIssuer(issuer="https://ours.example.com", audience=AUDIENCE, secret=secret)


def test_two_trusted_issuers_of_one_name_are_one_with_both() -> None:
    usual: dict[str, Any] = {"issuer": "https://ours.example.com", "audience": AUDIENCE}
    with pytest.raises(ValueError, match=naming("'https://ours.example.com'", "secret")):
        TokenValidator(issuers=[TrustedIssuer(**usual, secret=SECRET), TrustedIssuer(**usual)])


COGNITO = {"aud": OMIT, "client_id": CLIENT, "token_use": "access", "scope": "openid"}
CLERK = {"aud": OMIT, "azp": "https://app.example.com", "sid": "sess_1", "fva": [1, -1], "v": 2}


@pytest.mark.parametrize(
    ("claim", "audience", "claims"),
    [
        ("client_id", CLIENT, COGNITO),
        ("client_id", ["x", CLIENT], COGNITO),
        ("client_id", CLIENT, COGNITO | {"token_use": OMIT, "client_id": ["x", CLIENT]}),
        ("client_id", CLIENT, COGNITO | {"aud": AUDIENCE}),
        ("azp", "https://app.example.com", CLERK),
        ("azp", "https://app.example.com", CLERK | {"typ": "Bearer", "aud": ["x", "y"]}),
    ],
)
async def test_another_claim_may_name_the_audience(
    issuer: FailingIssuer, clock: FakeClock, claim: str, audience: Any, claims: Mapping[str, Any]
) -> None:
    validator = trusting(issuer, clock, audience=audience, audience_claim=claim)
    await validator.validate(presented(issuer.mint(claims=claims)))
    wrongs: list[Any] = [OMIT, "nobody", f"{audience}x", None, [], {}, 1, [audience, 1]]
    for wrong in wrongs:
        token = issuer.mint(claims={**claims, claim: wrong})
        assert await reason_for(validator, token) is Reason.AUDIENCE


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": CLIENT},  # the shape that every ID token has
        {"aud": [CLIENT]},
        {"aud": ["x", CLIENT]},
        {"aud": [CLIENT, 5]},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"s_hash": "x"},
        {"token_use": "id"},
        {"token_use": None},
        {"token_use": ["access"]},
        {"typ": "ID"},
    ],
)
async def test_no_id_token_passes_by_the_name_of_its_client(
    issuer: FailingIssuer, clock: FakeClock, claims: Mapping[str, Any]
) -> None:
    validator = trusting(issuer, clock, audience=CLIENT, audience_claim="client_id")
    token = issuer.mint(claims={**COGNITO, **claims})
    assert await reason_for(validator, token) is Reason.TYPE


@pytest.mark.parametrize(
    ("types", "typ"),
    [
        (["JOSE"], "JOSE"),
        (["JOSE"], "jose"),
        (["application/vnd.example+jwt"], "vnd.example+jwt"),
        (["vnd.example+jwt"], "application/VND.example+jwt"),
        (["vnd.example+jwt"], "JWT"),
        (["vnd.example+jwt"], "at+jwt"),
        (["vnd.example+jwt"], OMIT),
    ],
)
async def test_an_issuer_may_have_types_of_its_own(
    issuer: FailingIssuer, clock: FakeClock, types: list[str], typ: Any
) -> None:
    validator = trusting(issuer, clock, types=types)
    await validator.validate(presented(issuer.mint(header={"typ": typ})))
    for wrong in ("dpop+jwt", "logout+jwt", "", 1, None, [types[0]], f"x{types[0]}"):
        token = issuer.mint(header={"typ": wrong})
        assert await reason_for(validator, token) is Reason.TYPE


async def test_types_are_those_of_one_issuer(
    issuer: FailingIssuer, clock: FakeClock, keys: list[Key]
) -> None:
    other = TrustedIssuer(
        issuer="other", audience=AUDIENCE, types=["JOSE"], keys=keys[1].as_dict(private=False)
    )
    ours = TrustedIssuer(issuer=issuer.url, audience=AUDIENCE)
    validator = TokenValidator(issuers=[ours, other], clock=clock)
    token = issuer.mint(header={"typ": "JOSE"}, claims={"iss": "other"}, key=keys[1])
    await validator.validate(presented(token))
    assert await reason_for(validator, issuer.mint(header={"typ": "JOSE"})) is Reason.TYPE
    await validator.close()


@pytest.mark.parametrize("resolved", [True, False])
async def test_tenants_that_share_a_key_set_share_its_fetch(
    issuer: FailingIssuer, clock: FakeClock, *, resolved: bool
) -> None:
    def tenant(name: str) -> TrustedIssuer:
        return TrustedIssuer(issuer=name, audience=AUDIENCE, jwks_uri=jwks_uri(issuer))

    async def resolver(name: str, _host: str) -> TrustedIssuer:
        return tenant(name)

    names = [f"https://id.example.com/{number}" for number in range(50)]
    validator = TokenValidator(
        issuers=resolver if resolved else [tenant(name) for name in names], clock=clock
    )
    for name in names:
        await validator.validate(presented(issuer.mint(claims={"iss": name})))
    assert issuer.asked == (0, 1)
    await validator.close()
