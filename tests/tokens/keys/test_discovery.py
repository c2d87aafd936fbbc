"""Where are an issuer's keys said to be, and by whom?"""

import json
import logging
import tracemalloc
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import Key

from hello.app import token_validator
from hello.auth import InvalidTokenError, KeysUnavailableError, TokenValidator
from hello.sandbox.issuer import OMIT
from hello.tokens.keys.discovery import Place
from hello.tokens.keys.fetch import fetch
from hello.tokens.keys.fetched import FetchError, KeyPolicy
from hello.tokens.urls import is_loopback, is_secure_url
from support.api import AUDIENCE, config_for
from support.clock import FakeClock
from support.failing_issuer import (
    JWKS,
    LIMIT,
    METADATA,
    OAUTH_METADATA,
    Answer,
    FailingIssuer,
    compressed,
    members,
    padded,
    rewritten,
    status,
    usual,
    validating,
)
from support.naming import naming
from support.validators import presented, signing_keys

BOMB = 64 * 1024 * 1024


def pointing_at_keys(issuer: FailingIssuer) -> Answer:
    """The metadata, whatever path the issuer has."""
    return members(jwks_uri=f"http://127.0.0.1:{issuer.port}{JWKS}")


PATHS = [
    ("", METADATA, OAUTH_METADATA),
    ("/", METADATA, OAUTH_METADATA),
    ("/tenant", f"/tenant{METADATA}", f"{OAUTH_METADATA}/tenant"),
    ("/tenant/", f"/tenant{METADATA}", f"{OAUTH_METADATA}/tenant"),
    ("/realms/one", f"/realms/one{METADATA}", f"{OAUTH_METADATA}/realms/one"),
]


@pytest.mark.parametrize(("path", "openid", "oauth"), PATHS)
async def test_openid_connect_appends_to_the_issuers_path(
    issuer: FailingIssuer, clock: FakeClock, path: str, openid: str, oauth: str
) -> None:
    """OpenID Connect Discovery 1.0 §4.1; where that is answered, nobody asks elsewhere."""
    issuer.url = f"http://127.0.0.1:{issuer.port}{path}"
    issuer.answers |= dict.fromkeys([openid, oauth], pointing_at_keys(issuer))
    async with validating(issuer, clock) as validator:
        await validator.validate(presented(issuer.mint()))
    assert issuer.requests == {openid: 1, JWKS: 1}


@pytest.mark.parametrize("code", [404, 500, 302])
@pytest.mark.parametrize(("path", "openid", "oauth"), PATHS)
async def test_oauth_puts_itself_before_the_issuers_path(
    issuer: FailingIssuer, clock: FakeClock, path: str, openid: str, oauth: str, code: int
) -> None:
    """RFC 8414 §3.1: the fallback, where the issuer has no use for OpenID Connect."""
    issuer.url = f"http://127.0.0.1:{issuer.port}{path}"
    issuer.answers |= {openid: status(code), oauth: pointing_at_keys(issuer)}
    async with validating(issuer, clock) as validator:
        await validator.validate(presented(issuer.mint()))
    assert issuer.requests == {openid: 1, oauth: 1, JWKS: 1}
    assert issuer.trapped == 0


@pytest.mark.parametrize(
    "named",
    [
        "https://elsewhere.example.com/",
        "http://127.0.0.1:{port}",
        "http://127.0.0.1:{port}//",
        "HTTP://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "",
        None,
        OMIT,
        ["http://127.0.0.1:{port}/"],
    ],
)
async def test_metadata_of_another_issuer_ends_the_search(
    issuer: FailingIssuer, clock: FakeClock, named: Any
) -> None:
    """RFC 8414 §3.3: compared exactly, and the fallback makes nothing good."""
    if isinstance(named, str):
        named = named.format(port=issuer.port)
    issuer.answers |= {METADATA: members(issuer=named), OAUTH_METADATA: usual}
    async with validating(issuer, clock) as validator:
        with pytest.raises(KeysUnavailableError):
            await validator.validate(presented(issuer.mint()))
    assert issuer.requests == {METADATA: 1}


async def test_the_fallbacks_metadata_too_must_be_the_issuers(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    foreign = members(issuer="https://elsewhere.example.com/")
    issuer.answers |= {METADATA: status(404), OAUTH_METADATA: foreign}
    async with validating(issuer, clock) as validator:
        with pytest.raises(KeysUnavailableError):
            await validator.validate(presented(issuer.mint()))
    assert issuer.asked == (1, 0)


async def test_every_refresh_asks_where_the_keys_are(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    """Both the scheduled ones and those that an unknown kid forces."""
    async with validating(issuer, clock) as validator:
        await validator.validate(presented(issuer.mint()))
        moved = "/moved/jwks.json"
        issuer.answers |= {JWKS: status(404), moved: usual}
        issuer.answers[METADATA] = members(jwks_uri=f"http://127.0.0.1:{issuer.port}{moved}")
        clock.advance(600)
        await validator.validate(presented(issuer.mint()))
        assert issuer.requests == {METADATA: 2, JWKS: 1, moved: 1}
        with pytest.raises(InvalidTokenError):
            await validator.validate(presented(issuer.mint(header={"kid": "unknown"})))
        assert issuer.requests == {METADATA: 3, JWKS: 1, moved: 2}


@pytest.mark.parametrize(
    ("issuer_url", "jwks_uri", "trusted"),
    [
        ("https://issuer.example.com/", "https://issuer.example.com/jwks", True),
        ("https://issuer.example.com/", "https://keys.example.com/jwks?tenant=1", True),
        ("https://issuer.example.com/", "http://issuer.example.com/jwks", False),
        ("https://issuer.example.com/", "http://localhost/jwks", False),
        ("https://issuer.example.com/", "https://me@issuer.example.com/jwks", False),
        ("http://localhost:6061/", "http://localhost:6061/jwks", True),
        ("http://localhost:6061/", "http://127.0.0.1/jwks", True),
        ("http://localhost:6061/", "https://keys.example.com/jwks", True),
        ("http://localhost:6061/", "http://keys.example.com/jwks", False),
    ],
)
async def test_keys_are_fetched_as_securely_as_their_issuer_is_asked(
    keys: list[Key], issuer_url: str, jwks_uri: str, *, trusted: bool
) -> None:
    """Over https, or without leaving this machine if the issuer does not either."""
    documents = {
        f"{issuer_url}{METADATA[1:]}": {"issuer": issuer_url, "jwks_uri": jwks_uri},
        jwks_uri: {"keys": [keys[0].as_dict(private=False)]},
    }

    async def from_memory(url: str) -> bytes:
        return json.dumps(documents.pop(url)).encode()

    place = Place(issuer=issuer_url, jwks_uri=None, allow_insecure_http=False)
    if trusted:
        assert len(await place.load(from_memory)) == 1
    else:
        with pytest.raises(FetchError, match=naming("jwks_uri", issuer_url)):
            await place.load(from_memory)
    assert (jwks_uri not in documents) is trusted


SECURE: Mapping[str, bool] = {
    "https://issuer.example.com/": True,
    "https://issuer.example.com:8443/tenant": True,
    "HTTPS://issuer.example.com": True,
    "https://192.0.2.1/": True,
    "http://localhost:6061/": True,
    "HTTP://LOCALHOST/": True,
    "http://127.0.0.1:6061/": True,
    "http://[::1]:6061/": True,
    "http://issuer.localhost/": False,
    "http://issuer.example.com/": False,
    "http://192.0.2.1/": False,
    "http://0.0.0.0/": False,
    "http://localhost.example.com/": False,
    "http://127.0.0.1.example.com/": False,
    "http://notlocalhost/": False,
    "http://localhost@example.com/": False,
    "http://example.com#localhost": False,
    "http://example.com?.localhost": False,
    "https://me:secret@issuer.example.com/": False,
    "https://@issuer.example.com/": False,
    "https://issuer.example.com:port/": False,
    "https://issuer.example.com:99999/": False,
    "https://[/": False,
    "https:///tenant": False,
    "https:issuer.example.com": False,
    "//issuer.example.com/": False,
    "issuer.example.com": False,
    "ftp://localhost/": False,
    " https://issuer.example.com/": False,
    "https://issuer\t.example.com/": False,
    "https://issuer\uff0eexample.com/": False,
    "file:///etc/passwd": False,
    "": False,
    "https://issuer.exämple.com/": False,
    "https://issuer .example.com/": False,
    "http://example.com\\.localhost/": False,
    "https://issuer.example.com/\t": False,
    "https://issuer.example.com/\n": False,
}


@pytest.mark.parametrize(("url", "secure"), SECURE.items())
def test_what_is_secure(url: str, *, secure: bool) -> None:
    assert is_secure_url(url) is secure


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("issuer.localhost", False),
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("mylocalhost", False),
        ("128.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("127.1", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("path", [METADATA, JWKS])
@pytest.mark.parametrize(
    "answer",
    [
        rewritten(padded(LIMIT)),
        rewritten(compressed(31, LIMIT), Content_Encoding="gzip"),
        rewritten(compressed(15, LIMIT), Content_Encoding="deflate"),
        rewritten(bytes, Content_Type="application/jwk-set+json"),
        rewritten(bytes, Content_Type="text/plain; charset=latin-1"),
        rewritten(bytes, Content_Type="nonsense"),
        members(unheard_of={"é": [None]}),
    ],
)
async def test_an_answer_may_be_large_compressed_or_of_any_type(
    issuer: FailingIssuer, clock: FakeClock, path: str, answer: Answer
) -> None:
    issuer.answers[path] = answer
    async with validating(issuer, clock) as validator:
        await validator.validate(presented(issuer.mint()))


@pytest.mark.parametrize(("encoding", "window_bits"), [("gzip", 31), ("deflate", 15)])
async def test_a_bomb_is_left_before_it_is_large(
    issuer: FailingIssuer, encoding: str, window_bits: int
) -> None:
    bomb = compressed(window_bits, BOMB)(b"")
    assert len(zlib.decompress(bomb, window_bits)) == BOMB
    issuer.answers[JWKS] = rewritten(lambda _: bomb, Content_Encoding=encoding)
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match=naming(LIMIT)):
            await fetch(f"{issuer.url}{JWKS[1:]}")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by zero"), KeyError("jwks_uri"), OSError("no route")]
)
@pytest.mark.parametrize("had_keys", [True, False])
async def test_an_error_that_nobody_planned_is_a_failed_refresh_with_a_stack_in_the_log(
    issuer: FailingIssuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    *,
    had_keys: bool,
) -> None:
    """Whatever somebody's own `fetch` may raise."""
    metadata = {"issuer": issuer.url, "jwks_uri": issuer.url}
    failing = not had_keys

    async def fetch(url: str) -> bytes:
        if failing:
            raise error
        document = {"keys": issuer.published} if url == issuer.url else metadata
        return json.dumps(document).encode()

    async with validating(issuer, clock, fetch=fetch) as validator:
        if had_keys:
            await validator.validate(presented(issuer.mint()))
            failing = True
            clock.advance(600)
            await validator.validate(presented(issuer.mint()))
        else:
            with pytest.raises(KeysUnavailableError):
                await validator.validate(presented(issuer.mint()))
    stack, warning = caplog.records
    assert stack.levelno == logging.ERROR
    assert stack.exc_info is not None
    assert stack.exc_info[1] is error
    assert warning.levelno == logging.WARNING
    assert type(error).__name__ in warning.getMessage()


def test_nobody_waits_longer_than_five_seconds_where_nobody_said_otherwise(
    issuer: FailingIssuer,
) -> None:
    assert signing_keys(TokenValidator(issuer=issuer.url, audience=AUDIENCE))._policy.timeout == 5


def test_the_validator_keeps_to_the_configured_times(issuer: FailingIssuer) -> None:
    config = config_for(
        issuer,
        JWKS_MAX_AGE="10",
        JWKS_MAX_STALE="20",
        JWKS_COOLDOWN="30",
        JWKS_TIMEOUT="40",
    )
    assert signing_keys(token_validator(config))._policy == KeyPolicy(
        max_age=10, max_stale=20, cooldown=30, timeout=40
    )


async def test_the_log_does_not_repeat_a_long_name(issuer: FailingIssuer) -> None:
    issuer.answers[METADATA] = members(issuer="eyA" * 100_000)
    place = Place(issuer=issuer.url, jwks_uri=None, allow_insecure_http=False)
    with pytest.raises(FetchError, match=naming(repr(issuer.url))) as raised:
        await place.load(fetch)
    assert len(str(raised.value)) < 1000
