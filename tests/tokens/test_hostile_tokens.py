"""Is every hostile token refused, for the right reason, and without a word too much?"""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from hello.auth import ALGORITHMS, InvalidTokenError, Reason, TokenValidator
from hello.sandbox.issuer import Issuer
from support.answers import INVALID, challenge, description
from support.api import AUDIENCE, Client, bearer
from support.forger import Forger, Hostile
from support.hostile_tokens import EVERY_TOKEN, HOSTILE_TOKENS, named
from support.logs import refused
from support.validators import presented, reason_for

WITHOUT_A_KEY = {
    Reason.MALFORMED,
    Reason.ALGORITHM,
    Reason.CRITICAL,
    Reason.HEADER,
    Reason.TYPE,
    Reason.ISSUER,
}
TOLD = {Reason.EXPIRED, Reason.NOT_YET_VALID}  # to a client: of all others it hears one thing
BY_THE_KEY = {Reason.UNKNOWN_KEY, Reason.UNFIT_KEY, Reason.SIGNATURE}
DISCOVERY, JWKS = "/.well-known/openid-configuration", "/.well-known/jwks.json"


async def test_the_tokens_are_made_of_good_ones(forger: Forger, validator: TokenValidator) -> None:
    """What a forger changes nothing of is accepted, so that each row's flaw is all there is."""
    token = forger.forge()
    assert (await validator.validate(presented(token))).token == token
    assert await reason_for(validator, forger.signed(token.rpartition(".")[0])) is None


@named(EVERY_TOKEN)
async def test_the_validator_refuses_it_for_its_reason(
    forger: Forger, validator: TokenValidator, hostile: Hostile
) -> None:
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(hostile.build(forger)))
    assert refusal.value.reason is hostile.reason
    assert str(refusal.value) == hostile.reason.value
    asked = forger.issuer.requests
    if hostile.reason in WITHOUT_A_KEY:
        assert not asked
    else:
        assert asked == {DISCOVERY: 1, JWKS: 1}


@named(HOSTILE_TOKENS)
async def test_the_api_refuses_it_and_says_no_more(
    api: Client, forger: Forger, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    token = hostile.build(forger)
    async with api.get("/api/messages/protected", headers=bearer(token)) as response:
        assert response.status == 401
        assert await response.json() == {"message": InvalidTokenError.message}
        assert challenge(response.headers) == INVALID
        invalid = InvalidTokenError(Reason.SIGNATURE).headers
        told = description(response.headers) != description(invalid)
        assert told is (hostile.reason in TOLD)
        said = f"{response.headers}{await response.text()}"

    [refusal] = refused(caplog)
    assert refusal[:4] == (401, hostile.reason, "GET", "/api/messages/protected")
    if hostile.reason in WITHOUT_A_KEY | BY_THE_KEY:
        assert refusal.subject == "-", "what nobody has verified is nobody's word"
    else:
        assert refusal.subject is not None
        quoted = refusal.subject[0] == refusal.subject[-1] == "'"
        assert refusal.subject == "-" or quoted, "no other type than a string"
    [record] = [record for record in caplog.records if record.name == "hello.auth"]
    line = record.getMessage()
    assert line.isascii()
    assert line.isprintable()
    for part in (part for part in (token, *token.split(".")) if len(part) > 15):
        assert part not in line
        assert part not in said


@pytest.mark.parametrize("strict", [False, True])
async def test_none_becomes_good_where_more_algorithms_are_allowed(
    forger: Forger, *, strict: bool
) -> None:
    validator = TokenValidator(
        issuer=forger.issuer.url, audience=AUDIENCE, algorithms=ALGORITHMS, strict=strict
    )
    accepted = [
        row.name for row in EVERY_TOKEN if not await reason_for(validator, row.build(forger))
    ]
    assert accepted == []


@pytest.mark.parametrize("algorithms", [["RS256"], sorted(ALGORITHMS)])
async def test_no_server_is_asked_because_a_token_says_so(
    forger: Forger,
    algorithms: list[str],
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
) -> None:
    """`jwk`, `jku`, `x5u`, `x5c`, and an `iss` of somebody else, whose keys would be right."""
    requests: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        requests[request.path_qs] += 1
        jwk = forger.attacker.as_dict(private=False)
        return web.json_response({"keys": [jwk], "issuer": trap, "jwks_uri": trap})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    trap = str((await aiohttp_server(app)).make_url("/"))
    forger = dataclasses.replace(forger, trap=trap)
    validator = TokenValidator(
        issuer=forger.issuer.url, audience=AUDIENCE, algorithms=algorithms, jwks_cooldown=3600
    )

    for row in EVERY_TOKEN:
        assert await reason_for(validator, row.build(forger)) is not None, row.name
    assert not requests
    # The issuer itself is asked where its keys always are: at first, and for one unknown kid.
    assert forger.issuer.requests == {DISCOVERY: 2, JWKS: 2}


async def test_an_outage_excuses_no_token(keys: list[Key]) -> None:
    """What is bad without a key is bad; only of the rest nobody can tell, and it is no 401."""
    issuer = Issuer(audience=AUDIENCE, url="http://localhost:9/issuer/", key=keys[0])
    forger = Forger(issuer=issuer, other=keys[1], attacker=keys[2])
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    wrong = {}
    for row in EVERY_TOKEN:
        expected = Reason.KEYS_UNAVAILABLE if row.reason in BY_THE_KEY else row.reason
        reason = await reason_for(validator, row.build(forger))
        if reason is not expected:
            wrong[row.name] = reason
    assert wrong == {}
