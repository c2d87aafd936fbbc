"""Is a token that was verified before still as good as one that is checked in full?"""

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from joserfc.jwk import Key

from hello.auth import InvalidTokenError, KeysUnavailableError, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from hello.tokens.keys.signing_key import SigningKey
from support.api import AUDIENCE
from support.clock import FakeClock
from support.validators import presented, reason_for, signing_keys

JWKS = "/.well-known/jwks.json"


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The algorithms of the signatures that were really verified."""
    verified: list[str] = []
    verifies = SigningKey.verifies

    def counted(self: SigningKey, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        verified.append(algorithm)
        return verifies(self, signature, signing_input, algorithm)

    monkeypatch.setattr(SigningKey, "verifies", counted)
    return verified


def validator_for(issuer: Issuer, clock: FakeClock, **options: Any) -> TokenValidator:
    issuer.clock = clock.time
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock, **options)


async def remembered(validator: TokenValidator, token: str) -> str:
    """A token that was verified, so that it is cached."""
    await validator.validate(presented(token))
    assert is_cached(validator, token)
    return token


def is_cached(validator: TokenValidator, token: str) -> bool:
    return token in validator.verified._tokens._entries


async def test_a_signature_is_verified_once(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    validator = validator_for(issuer, clock)
    token = issuer.mint()
    tokens = [await validator.validate(presented(token)) for _ in range(10)]
    assert len(verifications) == 1
    assert len({id(token) for token in tokens}) == 1
    await validator.validate(presented(issuer.mint(claims={"sub": "another"})))
    assert len(verifications) == 2


async def test_it_can_be_switched_off(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    validator = validator_for(issuer, clock, token_cache_size=0)
    token = issuer.mint()
    for _ in range(5):
        await validator.validate(presented(token))
    assert len(verifications) == 5


@pytest.mark.parametrize(
    ("claims", "options", "advance", "reason"),
    [
        ({"exp": 1_800_000_060}, {}, 59, None),
        ({"exp": 1_800_000_060}, {}, 64, None),  # the leeway, for which it is checked in full
        ({"exp": 1_800_000_060}, {}, 65, "expired"),
        ({"iat": 1_800_000_000}, {"max_age": 60}, 64, None),
        ({"iat": 1_800_000_000}, {"max_age": 60}, 65, "too_old"),
        ({"nbf": 1_800_000_000}, {}, -5, None),
        ({"nbf": 1_800_000_000}, {}, -6, "not_yet_valid"),
        ({"nbf": OMIT, "iat": 1_800_000_000}, {}, -6, "issued_at"),
        ({"nbf": OMIT, "iat": OMIT}, {}, -1000, None),
    ],
)
async def test_time_is_looked_at_on_each_request(
    issuer: Issuer,
    clock: FakeClock,
    claims: dict[str, Any],
    options: dict[str, Any],
    advance: float,
    reason: str | None,
) -> None:
    validator = validator_for(issuer, clock, jwks_max_age=5000, jwks_max_stale=5000, **options)
    token = await remembered(validator, issuer.mint(claims=claims))
    clock.epoch += advance
    assert await reason_for(validator, token) == reason
    assert await reason_for(validator, token) == reason


async def test_beyond_its_exp_nothing_is_remembered(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint(claims={"exp": 1_800_000_060}))
    clock.advance(60)
    before = len(verifications)
    for _ in range(3):
        assert await reason_for(validator, token) is None
    assert len(verifications) == before + 3


async def test_a_key_that_is_withdrawn_takes_its_tokens_along_at_once(
    issuer: Issuer, clock: FakeClock, keys: list[Key]
) -> None:
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint())
    old = issuer.key
    issuer.rotate(keys[1])
    issuer.withdraw(old)
    await validator.validate(presented(issuer.mint()))  # an unknown key: the set is fetched
    assert await reason_for(validator, token) == "unknown_key"


async def test_a_key_of_the_same_name_is_not_the_same_key(
    issuer: Issuer, clock: FakeClock, keys: list[Key]
) -> None:
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint())
    issuer.published = [{**keys[1].as_dict(private=False), "kid": issuer.key.kid}]
    clock.advance(600)
    assert await reason_for(validator, token) == "signature"


async def test_after_keys_were_fetched_anew_a_token_is_checked_anew(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint())
    clock.advance(480)
    await validator.validate(presented(token))  # a refresh begins in the background
    pending = signing_keys(validator)._pending
    assert pending is not None
    await pending
    verifications.clear()
    for _ in range(5):
        await validator.validate(presented(token))
    assert len(verifications) == 1, "seen before, it is remembered again at once"
    assert issuer.requests[JWKS] == 2


async def test_keys_that_are_too_old_are_not_relied_on(issuer: Issuer, clock: FakeClock) -> None:
    validator = validator_for(issuer, clock, jwks_max_age=10, jwks_max_stale=20)
    token = await remembered(validator, issuer.mint())
    issuer.published = []
    clock.advance(10)
    assert await reason_for(validator, token) is None  # the last good keys stay in use
    clock.advance(10)
    with pytest.raises(KeysUnavailableError):
        await validator.validate(presented(token))


async def test_the_revocation_hook_is_asked_each_time(issuer: Issuer, clock: FakeClock) -> None:
    revoked = False
    asked = []

    def hook(token: Any) -> bool:
        asked.append(token.subject)
        return revoked

    validator = validator_for(issuer, clock, revoked=hook)
    token = await remembered(validator, issuer.mint())
    await validator.validate(presented(token))
    assert len(asked) == 2
    revoked = True
    for _ in range(2):
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token))
        assert (refusal.value.reason, refusal.value.subject) == ("revoked", "sandbox@clients")
    revoked = False
    assert await reason_for(validator, token) is None


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"aud": "x"}, {"iss": "https://x.example.com"}, {"cnf": {}}]
)
async def test_a_refusal_is_never_remembered(
    issuer: Issuer, clock: FakeClock, claims: dict[str, Any]
) -> None:
    validator = validator_for(issuer, clock)
    token = issuer.mint(claims=claims)
    for _ in range(5):
        assert await reason_for(validator, token) is not None
    assert len(validator.verified._tokens) == 0


async def test_a_token_that_nearly_equals_a_remembered_one_is_checked_in_full(
    issuer: Issuer, clock: FakeClock
) -> None:
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint())
    text, _, signature = token.rpartition(".")
    for changed in (f"{text}.{'A' * 8}{signature[8:]}", f"{token}\udc80", token[:-4]):
        assert await reason_for(validator, changed) in {"signature", "malformed"}


async def test_an_issuer_that_its_resolver_drops_takes_its_tokens_along(
    issuer: Issuer, clock: FakeClock
) -> None:
    issuer.clock = clock.time
    audience = AUDIENCE

    async def resolver(iss: str, host: str) -> TrustedIssuer | None:
        return TrustedIssuer(issuer=iss, audience=audience) if host == "a" and audience else None

    validator = TokenValidator(issuers=resolver, clock=clock)
    token = issuer.mint()
    for _ in range(3):
        await validator.validate(presented(token, host="a"))
    with pytest.raises(InvalidTokenError):
        await validator.validate(presented(token, host="b"))
    audience = "https://moved.example.com"
    clock.advance(60)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(token, host="a"))
    assert refusal.value.reason == "audience"
    audience = ""
    clock.advance(60)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(token, host="a"))
    assert refusal.value.reason == "issuer"


async def test_what_a_handler_changes_is_not_there_for_the_next(
    issuer: Issuer, clock: FakeClock
) -> None:
    validator = validator_for(issuer, clock)
    claims = {"permissions": ["read"], "org": {"roles": [["user"]]}}
    token = await remembered(validator, issuer.mint(claims=claims))
    first = await validator.validate(presented(token))
    first.claims["permissions"].append("admin")
    first.claims["org"]["roles"][0].append("admin")
    second = await validator.validate(presented(token))
    assert first is second
    assert second.claims["permissions"] == ["read"]
    assert second.claims["org"] == {"roles": [["user"]]}
    assert dict(second.claims)["org"] == {"roles": [["user"]]}
    assert len(second.claims) == len(list(second.claims))
    assert "read" in repr(second.claims)


async def test_the_least_recently_used_goes_first(issuer: Issuer, clock: FakeClock) -> None:
    validator = validator_for(issuer, clock, token_cache_size=9000)  # bytes: two tokens
    one, two, three = (issuer.mint(claims={"sub": sub}) for sub in ("1", "2", "3"))
    for token in (one, two):
        await remembered(validator, token)
    await validator.validate(presented(one))
    await remembered(validator, three)
    assert [is_cached(validator, token) for token in (one, two, three)] == [True, False, True]


@pytest.mark.parametrize(
    ("count", "claims"),
    [
        (6000, {}),
        (600, {"groups": [f"group-{number:032}" for number in range(138)]}),
        (200, {"nested": [[] for _ in range(2300)]}),
        (200, {"nested": [{} for _ in range(2300)]}),
        (400, {"numbers": [number + 0.5 for number in range(1500)]}),
        (400, {"words": [f"{number:02}" for number in range(1000)]}),
    ],
    ids=["ordinary", "groups", "lists", "objects", "numbers", "words"],
)
async def test_the_cache_takes_as_much_memory_as_it_says(
    issuer: Issuer, clock: FakeClock, count: int, claims: dict[str, Any]
) -> None:
    """Whatever is in the tokens: a few characters of a claim can be many objects."""
    size = 4 << 20
    validator = validator_for(issuer, clock, token_cache_size=size)
    tokens = [issuer.mint(claims={**claims, "sub": str(number)}) for number in range(count)]
    await validator.validate(presented(issuer.mint()))  # the keys are there from here on
    gc.collect()
    tracemalloc.start()
    try:
        for token in tokens:
            await validator.validate(presented(str(token)))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(validator.verified._tokens) < count
    assert is_cached(validator, tokens[-1])
    assert size / 2 < held < size * 1.05


async def test_many_at_once_are_all_answered(issuer: Issuer, clock: FakeClock) -> None:
    validator = validator_for(issuer, clock)
    token = issuer.mint()
    answers = await asyncio.gather(*(validator.validate(presented(token)) for _ in range(100)))
    assert {answer.token for answer in answers} == {token}
    assert issuer.requests[JWKS] == 1
