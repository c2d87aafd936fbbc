"""Does the sandbox's issuer make any token that a test may want, with keys that it publishes?"""

from typing import Any
from unittest.mock import ANY

import pytest
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from hello.sandbox.issuer import OMIT, Issuer, sign
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.token_endpoint import published, verified


async def test_keys_are_rotated_published_and_withdrawn(
    browser: Client, own: Issuer, keys: list[Key]
) -> None:
    async def kids() -> list[str]:
        return [jwk["kid"] for jwk in (await published(browser))["keys"]]

    old = own.mint()
    own.rotate(keys[1])
    assert await kids() == [keys[0].kid, keys[1].kid]
    assert (await verified(browser, own.mint())).header["kid"] == keys[1].kid
    assert (await verified(browser, old)).header["kid"] == keys[0].kid
    own.publish(keys[2])
    own.withdraw(keys[0])
    assert await kids() == [keys[1].kid, keys[2].kid]
    assert (await verified(browser, own.mint())).header["kid"] == keys[1].kid
    own.rotate()
    assert own.key.kid not in {key.kid for key in keys}
    assert await kids() == [keys[1].kid, keys[2].kid, own.key.kid]
    assert (await verified(browser, own.mint())).header["kid"] == own.key.kid


async def test_a_minted_token_can_be_changed_in_every_part(
    browser: Client, own: Issuer, keys: list[Key], clock: FakeClock
) -> None:
    clock.advance(60.9)
    own.publish(keys[1])
    token = await verified(
        browser,
        own.mint(
            claims={"sub": "auth0|alice", "gty": OMIT, "azp": OMIT, "nbf": 1},
            header={"typ": OMIT, "cty": "x"},
            key=keys[1],
        ),
    )
    assert token.header == {"alg": "RS256", "kid": keys[1].kid, "cty": "x"}
    assert token.claims == {
        "iss": own.url,
        "sub": "auth0|alice",
        "aud": AUDIENCE,
        "iat": 1_800_000_060,
        "exp": 1_800_086_460,
        "jti": ANY,
        "nbf": 1,
        "permissions": [],
    }


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384"])
def test_a_token_is_signed_as_its_header_says(keys: list[Key], algorithm: str) -> None:
    token = sign({"alg": algorithm}, {"a": "b"}, keys[0])
    any_algorithm = RSAKey.import_key({**keys[0].as_dict(private=False), "alg": algorithm})
    assert jwt.decode(token, any_algorithm, algorithms=[algorithm]).claims == {"a": "b"}


@pytest.mark.parametrize("header", [b"no JSON", b"\xff", {"alg": 1}, {"alg": "unheard-of"}, {}])
def test_what_is_no_header_is_signed_too(keys: list[Key], header: Any) -> None:
    token = sign(header, b"\xff\x00", keys[0])
    assert len(token.split(".")) == 3
    assert len(token.rpartition(".")[2]) == 342  # 256 bytes: signed all the same
