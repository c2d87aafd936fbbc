"""Which new tokens does an open connection accept, and what does it say to them?"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from joserfc.jwk import ECKey

from hello import auth
from hello.sandbox.issuer import OMIT, Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import Live, answered, closed, send_token
from support.logs import faults, reasons
from support.proofs import bound_to, proof

Start = Callable[..., Awaitable[Live]]
OTHER_KEY = ECKey.generate_key("P-256")


@pytest.mark.parametrize("place", ["header", "subprotocol", "message"])
async def test_a_renewed_token_keeps_it_open_wherever_the_first_one_was(
    live: Start, clock: FakeClock, place: str
) -> None:
    there = await live({place} - {"header"})
    first = there.mint(seconds=100)
    ways: dict[str, dict[str, Any]] = {
        "header": {"headers": bearer(first)},
        "subprotocol": {"protocols": ["bearer", first]},
        "message": {},
    }
    async with there.opened(**ways[place]) as socket:
        if place == "message":
            await send_token(socket, first)
            assert await answered(socket) == {"status": 200, "expires_in": 100}
        clock.advance(60)
        await send_token(socket, there.mint(seconds=100, jti="second"), type="renew")
        assert await answered(socket) == {"status": 200, "expires_in": 100}
        clock.advance(60)
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
        clock.advance(40)
        assert (await closed(socket)).code == 4401
    assert there.received == ["still there"]
    outcomes = [(each.outcome, each.token_id) for each in there.decisions]
    assert outcomes[1:] == [("allowed", "second"), ("expired", "second")]


async def test_the_handler_sees_the_newest_token(live: Start) -> None:
    there = await live()
    seen: list[Any] = []
    there.on_message = lambda request: seen.append(auth.token(request).claims.get("jti"))
    async with there.opened(there.mint(jti="first")) as socket:
        await socket.send_str("x")
        await socket.receive()
        await send_token(socket, there.mint(jti="second"))
        await socket.receive()
        await socket.send_str("x")
        await socket.receive()
    assert seen == ["first", "second"]


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({"aud": "x"}, 4401, "401 audience"),
        ({"exp": 1}, 4401, "401 expired"),
        ({"permissions": []}, 4403, "403 permissions"),
        ({"sub": "bob"}, 4401, "401 subject"),
        ({"sub": OMIT}, 4401, "401 subject"),
        ({**bound_to()}, 4401, "401 subject"),
        ({"iss": "https://evil.example/"}, 4401, "401 issuer"),
    ],
)
async def test_a_renewed_token_that_is_refused_closes_it(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
    code: int,
    reason: str,
) -> None:
    there = await live()
    async with there.opened(there.mint(sub="alice")) as socket:
        await send_token(socket, there.mint(**{"sub": "alice", **claims}))
        how = await closed(socket)
        assert how.code == code
        assert 0 < len(how.reason) < 124
    assert reasons(caplog) == [reason]
    assert there.received == []
    assert there.decisions[-1].outcome == reason.split()[1]
    assert isinstance(await there.has_left(), auth.AuthError)


async def test_two_tokens_without_a_subject_may_be_of_two_people(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live()
    async with there.opened(there.mint(sub=OMIT)) as socket:
        await send_token(socket, there.mint(sub=OMIT))
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 subject"]


async def test_a_token_of_another_issuer_is_refused_although_it_is_trusted(
    live: Start,
    issuer: Issuer,
    clock: FakeClock,
    keys: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = "https://other.example/"
    validator = auth.TokenValidator(
        issuers=[
            auth.TrustedIssuer(issuer=issuer.url, audience=issuer.audience),
            auth.TrustedIssuer(
                issuer=other,
                audience=issuer.audience,
                keys=keys[0].as_dict(private=False),
            ),
        ],
        clock=clock,
    )
    there = await live(validator=validator)
    assert await there.status(there.mint(iss=other)) == 101
    async with there.opened(there.mint()) as socket:
        await send_token(socket, there.mint(iss=other))
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 subject"]


@pytest.mark.parametrize(
    ("claims", "code"),
    [(bound_to(), None), (bound_to(OTHER_KEY), 4401), ({}, 4401)],
)
async def test_a_token_that_is_bound_to_the_same_key_needs_no_other_proof(
    live: Start, caplog: pytest.LogCaptureFixture, claims: dict[str, Any], code: int | None
) -> None:
    there = await live()
    token, now = there.mint(**bound_to()), there.issuer.clock()
    made = proof(token, now=now, url=str(there.client.make_url("/feed")))
    headers = {"Authorization": f"DPoP {token}", "DPoP": made}
    async with there.opened(headers=headers) as socket:
        await send_token(socket, there.mint(jti="second", **claims))
        if code is None:
            assert (await answered(socket))["status"] == 200
        else:
            assert (await closed(socket)).code == code
    assert reasons(caplog) == ([] if code is None else ["401 subject"])


async def test_a_bound_token_is_checked_again_without_another_proof(
    live: Start, clock: FakeClock, revoked: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    there = await live(check_every=10)
    token, now = there.mint(sub="alice", **bound_to()), there.issuer.clock()
    made = proof(token, now=now, url=str(there.client.make_url("/feed")))
    headers = {"Authorization": f"DPoP {token}", "DPoP": made}
    async with there.opened(headers=headers) as socket:
        for _ in range(2):
            clock.advance(10)
            await socket.send_str("still there")
            assert await socket.receive_str() == "still there"
        revoked.add("alice")
        clock.advance(10)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 revoked"]


async def test_an_outage_is_said_and_the_present_token_stays_in_use(
    live: Start, issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    failing = False

    def revoked(_token: auth.AccessToken) -> bool:
        if failing:
            raise OSError
        return False

    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, revoked=revoked
    )
    there = await live(validator=validator)
    async with there.opened(there.mint(seconds=100)) as socket:
        failing = True
        await send_token(socket, there.mint(seconds=1000))
        said = await answered(socket)
        assert said == {
            "status": 503,
            "message": "Unable to verify credentials",
            "retry_after": 1,
        }
        failing = False
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
        clock.advance(100)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["503 revocation_unavailable", "401 expired"]


async def test_a_check_of_the_last_token_does_not_end_a_renewed_one(
    live: Start, issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def revoked(token: auth.AccessToken) -> bool:
        if token.claims["jti"] == "first" and clock.time() > start:
            begun.set()
            await go_on.wait()
            return True
        return False

    start = clock.time()
    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, revoked=revoked
    )
    there = await live(check_every=10, validator=validator)
    async with there.opened(there.mint(jti="first")) as socket:
        clock.advance(10)
        await begun.wait()
        await send_token(socket, there.mint(jti="second"))
        assert (await answered(socket))["status"] == 200
        go_on.set()
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
    assert reasons(caplog) == []


async def test_a_client_cannot_renew_more_than_once_in_a_second(
    live: Start, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live()
    async with there.opened(there.mint()) as socket:
        for _ in range(2):
            await send_token(socket, there.mint())
            assert (await answered(socket))["status"] == 200
            for _ in range(3):
                await send_token(socket, there.mint())
                said = await answered(socket)
                assert said == {"status": 429, "message": "Too many requests", "retry_after": 1}
            clock.advance(1)
    assert [each.outcome for each in there.decisions] == ["allowed"] * 3
    assert not reasons(caplog)


async def test_new_tokens_give_a_client_no_more_time(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> None:
    there = Live(aiohttp_client, issuer)

    async def handler(request: Any) -> Any:
        async with auth.live(request) as socket:
            try:
                await socket.receive(timeout=0.2)
            except TimeoutError:
                await socket.send_str("too late")
        return socket

    await there.serve(auth.protected, validator, handler)
    async with there.opened(there.mint()) as socket:

        async def renew() -> None:
            while not socket.closed:
                await send_token(socket, there.mint())
                await asyncio.sleep(0.02)

        renewing = asyncio.create_task(renew())
        async with asyncio.timeout(30):
            while await socket.receive_str() != "too late":
                pass
        renewing.cancel()
        await asyncio.wait({renewing})


@pytest.mark.parametrize(
    ("claims", "waits"),
    [({}, "asyncio"), ({}, "aiohttp"), ({"sub": "bob"}, "asyncio")],
)
async def test_a_renewal_is_not_lost_if_the_handler_does_not_wait_for_it(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    clock: FakeClock,
    claims: dict[str, Any],
    waits: str,
) -> None:
    there, begun, go_on = Live(aiohttp_client, issuer), asyncio.Event(), asyncio.Event()

    async def revoked(token: auth.AccessToken) -> bool:
        if "jti" in token.claims and token.claims["jti"] == "second":
            begun.set()
            await go_on.wait()
        return False

    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, revoked=revoked
    )

    async def handler(request: Any) -> Any:
        async with auth.live(request) as socket:
            while not begun.is_set():  # it may also be the token that comes late
                with suppress(TimeoutError):
                    if waits == "asyncio":
                        await asyncio.wait_for(socket.receive(), 0.1)
                    else:
                        await socket.receive(timeout=0.1)
            await socket.send_str("tick")
            async for _ in socket:
                pass
        return socket

    await there.serve(auth.protected, validator, handler)
    async with there.opened(there.mint(sub="alice")) as socket:
        await send_token(socket, there.mint(**{"sub": "alice", "jti": "second", **claims}))
        assert await socket.receive_str() == "tick"
        clock.advance(5)
        await send_token(socket, there.mint(sub="alice"))
        assert (await answered(socket))["status"] == 429  # one after the other
        go_on.set()
        if claims:
            assert (await closed(socket)).code == 4401
        else:
            assert (await answered(socket))["status"] == 200


@pytest.mark.parametrize("token", [None, 1, True, [], {}, ["x"]])
async def test_a_token_that_is_no_text_is_refused(
    live: Start, caplog: pytest.LogCaptureFixture, token: object
) -> None:
    there = await live({"message"})
    for first in (None, there.mint()):
        async with there.opened(first) as socket:
            await send_token(socket, token)
            assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 malformed"] * 2


async def test_a_handler_that_goes_on_after_a_refusal_is_cut_off(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For the first reason that there was, whatever is found out meanwhile."""
    there, start = Live(aiohttp_client, issuer), clock.time()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def revoked(_token: auth.AccessToken) -> bool:
        if clock.time() == start:
            return False
        begun.set()
        await go_on.wait()
        return True

    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, revoked=revoked
    )

    async def handler(request: Any) -> Any:
        async with auth.live(request, check_every=10) as socket:
            while not socket.closed:
                try:
                    await socket.receive()
                except (auth.AuthError, asyncio.CancelledError):
                    await socket.send_str("going on")
        return socket

    await there.serve(auth.protected, validator, handler)
    async with there.opened(there.mint(sub="alice")) as socket:
        clock.advance(10)
        await begun.wait()
        await send_token(socket, there.mint(sub="bob", aud="x"))
        assert await socket.receive_str() == "going on"
        go_on.set()
        await send_token(socket, there.mint(sub="alice"))
        assert await socket.receive_str() == "going on"
        assert (await closed(socket)).code == 1006
    assert reasons(caplog) == ["401 audience"]
    assert not faults(caplog)
