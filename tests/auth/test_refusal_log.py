"""Can anybody flood the log with refusals, and does it still say what an operator needs?"""

import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from hello import auth
from hello.auth import InvalidTokenError, Reason
from hello.auth.decisions.refusal_log import RefusalLog, is_counted
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.protecting import new_handler

Start = Callable[[ApiServer], Awaitable[Client]]


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What a refusal log wants to be called in a second."""
    called: list[Callable[[], None]] = []

    class Loop:
        def call_later(
            self, _seconds: float, callback: Callable[[], None], *, context: Context
        ) -> Any:
            assert not [*context]  # it is about no request
            called.append(callback)
            return self

        def cancel(self) -> None:
            """Nothing: what was called is taken from the list."""

    monkeypatch.setattr("asyncio.get_running_loop", Loop)
    return called


def refusal(reason: Reason = Reason.SIGNATURE, **options: Any) -> InvalidTokenError:
    return InvalidTokenError(reason, **options)


def test_the_first_of_a_kind_are_told_and_the_rest_are_summed_up(
    timers: list[Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    log = RefusalLog()
    requests = [make_mocked_request("GET", "/") for _ in range(1000)]
    for request in requests:
        log.note(request, refusal())
    log.note(requests[0], refusal(Reason.EXPIRED, subject="alice"))
    assert len(caplog.messages) == 6
    assert [is_counted(request) for request in requests] == [False] * 5 + [True] * 995
    assert len(timers) == 1
    timers.pop()()
    assert caplog.records[-1].args == (995, "signature 995", 1)
    assert len(caplog.messages) == 7


def test_a_flood_of_an_hour_writes_less_than_a_kilobyte_a_second(
    timers: list[Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    log, request = RefusalLog(), make_mocked_request("GET", "/api/messages/protected")
    reasons = list(Reason)
    for second in range(600):
        for number in range(100):
            reason = reasons[(second + number) % len(reasons)]
            log.note(request, refusal(reason, subject="auth0|somebody"))
        timers.pop()()
    assert not timers[1:]
    assert sum(len(message) + 50 for message in caplog.messages) < 600 * 1000


def test_when_it_has_been_quiet_each_has_a_line_again(
    timers: list[Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    log, request = RefusalLog(), make_mocked_request("GET", "/")
    for _ in range(10):
        log.note(request, refusal())
    while timers:
        timers.pop()()
    before = len(caplog.messages)
    log.note(request, refusal())
    assert len(caplog.messages) == before + 1
    assert len(timers) == 1


async def test_what_was_counted_is_told_when_the_application_stops(
    validator: auth.TokenValidator, aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    with caplog.at_level(logging.INFO):
        for _ in range(8):
            async with client.get("/") as response:
                assert response.status == 401
        await client.close()
    summed = [record for record in caplog.records if record.args == (3, "no_credentials 3", 1)]
    assert len(summed) == 1
    access = [record for record in caplog.records if record.name == "hello.access"]
    assert len(access) == 5


async def test_a_line_says_where_it_came_from_and_whose_token_it_was(
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for iss in ("https://wrong.example.com/", "a\nb" + "c" * 500, 7):
        async with client.get("/", headers=bearer(issuer.mint(claims={"iss": iss}))) as response:
            assert response.status == 401
    first, second, third = [m for m in caplog.messages if m.startswith("refused")]
    assert first.endswith("from=127.0.0.1 iss='https://wrong.example.com/'")
    assert "iss='a\\nbccc" in second
    assert len(second) < 200
    assert third.endswith("iss=7")


def test_addresses_are_counted_up_to_a_bound(
    timers: list[Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hello.auth.decisions.refusal_log._MAX_ADDRESSES", 2)
    log = RefusalLog()
    for number in range(20):
        request = make_mocked_request("GET", "/").clone(remote=f"192.0.2.{number}")
        log.note(request, refusal())
    timers.pop()()
    assert caplog.records[-1].args == (15, "signature 15", 2)
