"""Has a token a name of its own, and does the profile of RFC 9068 please who insists on it?"""

import pytest
from joserfc.jwk import Key

from hello.auth import InvalidTokenError, TokenValidator
from hello.sandbox.issuer import CLIENT_ID, OMIT, Issuer
from hello.tokens import Presented
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import claims_of, log_in, refresh, tokens
from support.token_endpoint import FORM, TOKEN, form, verified


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer of tokens in the profile of RFC 9068."""
    return Issuer(audience=AUDIENCE, rfc9068=True, key=keys[0], clock=clock.time)


async def by_itself(client: Client) -> str:
    async with client.post(TOKEN, data=form(), headers={"Content-Type": FORM}) as response:
        return str((await response.json())["access_token"])


@pytest.mark.parametrize("rfc9068", [False, True])
async def test_no_two_tokens_are_the_same(browser: Client, own: Issuer, *, rfc9068: bool) -> None:
    """Not even two of one second."""
    own.rfc9068 = rfc9068
    _, first = await tokens(browser, await log_in(browser, scope="openid offline_access"))
    _, second = await refresh(browser, first["refresh_token"])
    texts = [own.mint(), own.mint(), await by_itself(browser), await by_itself(browser)]
    texts += [answer[name] for answer in (first, second) for name in ("access_token", "id_token")]
    assert len({claims_of(text)["jti"] for text in texts}) == len(texts)


async def test_a_token_has_what_the_profile_wants(browser: Client, own: Issuer) -> None:
    """RFC 9068 §2.1 and §2.2."""
    token = await verified(browser, await by_itself(browser))
    assert token.header["typ"] == "at+jwt"
    assert token.claims.keys() == {
        *("iss", "exp", "aud", "sub", "client_id", "iat", "jti"),
        "permissions",
    }
    assert token.claims["client_id"] == CLIENT_ID
    _, answer = await tokens(browser, await log_in(browser))
    token = await verified(browser, answer["access_token"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims.keys() == {
        *("iss", "exp", "aud", "sub", "client_id", "iat", "jti"),
        *("auth_time", "scope", "permissions"),
    }
    assert token.claims["client_id"] == "demo"
    assert token.claims["auth_time"] == own.clock()
    assert (await verified(browser, answer["id_token"])).header["typ"] == "JWT"


async def test_a_strict_validator_takes_it_and_none_of_the_other_profile(
    browser: Client, own: Issuer, clock: FakeClock
) -> None:
    validator = TokenValidator(issuer=own.url, audience=AUDIENCE, strict=True, clock=clock)
    _, answer = await tokens(browser, await log_in(browser))
    for text in (own.mint(), await by_itself(browser), answer["access_token"]):
        await validator.validate(Presented(token=text))
    own.rfc9068 = False
    _, answer = await tokens(browser, await log_in(browser, prompt="login"))
    for text in (own.mint(), await by_itself(browser), answer["access_token"]):
        with pytest.raises(InvalidTokenError):
            await validator.validate(Presented(token=text))
    await validator.close()


async def test_introspection_names_the_client_in_either_profile(own: Issuer) -> None:
    for token in (own.mint(), own.opaque()):
        issued = own.access_tokens.get(token)
        assert issued is not None
        assert issued.answer["client_id"] == CLIENT_ID
        assert OMIT not in issued.answer.values()
