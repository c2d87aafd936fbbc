"""Is a token that was verified before still as good as one that is checked in full?"""

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from joserfc.jwk import Key

from hello.auth import InvalidTokenError, KeysUnavailableError, TokenValidator, TrustedIssuer
from hello.auth.keys import SigningKey
from hello.auth.remembered import Remembered
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.validators import signing_keys

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


async def reason_for(validator: TokenValidator, token: str) -> str | None:
    try:
        await validator.validate(token)
    except InvalidTokenError as refusal:
        return refusal.reason
    return None


async def remembered(validator: TokenValidator, token: str) -> str:
    """A token that was seen twice, so that it is remembered."""
    for _ in range(2):
        await validator.validate(token)
    assert validator._remembered is not None
    assert validator._remembered.get(Remembered.digest(token)) is not None
    return token


async def test_a_signature_is_verified_twice_and_then_no_more(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    """From the second time on a token is remembered; those that come once are not."""
    validator = validator_for(issuer, clock)
    token = issuer.mint()
    tokens = [await validator.validate(token) for _ in range(10)]
    assert len(verifications) == 2
    assert len({id(token) for token in tokens}) == 2
    await validator.validate(issuer.mint(claims={"sub": "another"}))
    assert len(verifications) == 3


def test_the_first_sight_of_a_token_is_no_second_one() -> None:
    """Whatever its digest is: zeros too, which is what stands where nothing was seen."""
    for tag in range(256):
        store, digest = Remembered(1), bytes([0, 0, tag]) + bytes(29)
        assert not store.seen_before(digest)
        assert store.seen_before(digest)


def test_tokens_that_share_a_place_are_told_apart() -> None:
    """Else two of them in turn would push each other out for ever, and never be remembered."""
    store = Remembered(10)
    digests = [bytes([0, 0, tag]) + bytes(29) for tag in (1, 2, 3, 4)]
    assert [store.seen_before(digest) for digest in digests] == [False] * 4
    assert [store.seen_before(digest) for digest in digests] == [True] * 4
    assert not store.seen_before(bytes([0, 0, 5]) + bytes(29))
    assert not store.seen_before(digests[0])  # the oldest of five has gone


async def test_it_can_be_switched_off(
    issuer: Issuer, clock: FakeClock, verifications: list[str]
) -> None:
    validator = validator_for(issuer, clock, remembered_tokens=0)
    token = issuer.mint()
    for _ in range(5):
        await validator.validate(token)
    assert len(verifications) == 5


@pytest.mark.parametrize("value", [-1, True, 1.5, "4096"])
def test_how_many_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ValueError, match="remembered_tokens is a whole number"):
        TokenValidator(issuer="https://a.example.com", audience=AUDIENCE, remembered_tokens=value)


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
    await validator.validate(issuer.mint())  # an unknown key: the set is fetched
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
    await validator.validate(token)  # a refresh begins in the background
    pending = signing_keys(validator)._pending
    assert pending is not None
    await pending
    verifications.clear()
    for _ in range(5):
        await validator.validate(token)
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
        await validator.validate(token)


async def test_the_revocation_hook_is_asked_each_time(issuer: Issuer, clock: FakeClock) -> None:
    revoked = False
    asked = []

    def hook(token: Any) -> bool:
        asked.append(token.subject)
        return revoked

    validator = validator_for(issuer, clock, revoked=hook)
    token = await remembered(validator, issuer.mint())
    await validator.validate(token)
    assert len(asked) == 3
    revoked = True
    for _ in range(2):
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(token)
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
    assert validator._remembered is not None
    assert len(validator._remembered) == 0


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
        await validator.validate(token, host="a")
    with pytest.raises(InvalidTokenError):
        await validator.validate(token, host="b")
    audience = "https://moved.example.com"
    clock.advance(60)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(token, host="a")
    assert refusal.value.reason == "audience"
    audience = ""
    clock.advance(60)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(token, host="a")
    assert refusal.value.reason == "issuer"


async def test_what_a_handler_changes_is_not_there_for_the_next(
    issuer: Issuer, clock: FakeClock
) -> None:
    validator = validator_for(issuer, clock)
    claims = {"permissions": ["read"], "org": {"roles": [["user"]]}}
    token = await remembered(validator, issuer.mint(claims=claims))
    first = await validator.validate(token)
    first.claims["permissions"].append("admin")
    first.claims["org"]["roles"][0].append("admin")
    second = await validator.validate(token)
    assert first is second
    assert second.claims["permissions"] == ["read"]
    assert second.claims["org"] == {"roles": [["user"]]}
    assert dict(second.claims)["org"] == {"roles": [["user"]]}
    assert len(second.claims) == len(list(second.claims))
    assert "read" in repr(second.claims)


async def test_the_least_recently_used_goes_first(issuer: Issuer, clock: FakeClock) -> None:
    validator = validator_for(issuer, clock, remembered_tokens=2)
    one, two, three = (issuer.mint(claims={"sub": sub}) for sub in ("1", "2", "3"))
    for token in (one, two):
        await remembered(validator, token)
    await validator.validate(one)
    await remembered(validator, three)
    store = validator._remembered
    assert store is not None
    kept = [store.get(Remembered.digest(token)) is not None for token in (one, two, three)]
    assert kept == [True, False, True]


async def test_a_hundred_thousand_tokens_do_not_grow_memory(
    issuer: Issuer, clock: FakeClock
) -> None:
    """Of what is kept of each, whatever it is: the tokens themselves are not at issue here."""
    validator = validator_for(issuer, clock)
    token = await remembered(validator, issuer.mint())
    store = validator._remembered
    assert store is not None
    kept = store.get(Remembered.digest(token))
    assert kept is not None

    def see(first: int, last: int) -> None:
        for number in range(first, last):
            digest = Remembered.digest(str(number))
            assert store.seen_before(digest) or store.seen_before(digest)
            store.put(digest, kept._replace(since=number))

    tracemalloc.start()
    try:
        see(0, 10_000)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        see(10_000, 100_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == 4096
    assert after - before < 100_000


async def test_many_at_once_are_all_answered(issuer: Issuer, clock: FakeClock) -> None:
    validator = validator_for(issuer, clock)
    token = issuer.mint()
    answers = await asyncio.gather(*(validator.validate(token) for _ in range(100)))
    assert {answer.token for answer in answers} == {token}
    assert issuer.requests[JWKS] == 1
