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
from hello.tokens import bounded
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
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


def new_request(path: str = "/") -> web.Request:
    request = make_mocked_request("GET", path)
    request.match_info.route.resource = None  # type: ignore[misc]
    return request


def refusal(reason: Reason = Reason.SIGNATURE, **options: Any) -> InvalidTokenError:
    return InvalidTokenError(reason, **options)


@pytest.fixture
def log(clock: FakeClock) -> RefusalLog:
    return RefusalLog(clock)


def sums(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the lines say that sum up refusals."""
    names = ("count", "reasons", "addresses", "routes", "peers")
    return [
        {name: vars(record)[name] for name in names}
        for record in caplog.records
        if hasattr(record, "count")
    ]


def test_the_first_of_a_kind_are_told_and_the_rest_are_summed_up(
    log: RefusalLog, timers: list[Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    requests = [new_request() for _ in range(1000)]
    for request in requests:
        log.note(request, refusal())
    log.note(requests[0], refusal(Reason.EXPIRED, subject="alice"))
    assert len(caplog.messages) == 6
    assert [is_counted(request) for request in requests] == [False] * 5 + [True] * 995
    assert len(timers) == 1
    timers.pop()()
    assert sums(caplog) == [
        {
            "count": 995,
            "reasons": {"signature": 995},
            "addresses": 1,
            "routes": {"-": 995},
            "peers": {"-": 995},
        }
    ]
    assert len(caplog.messages) == 7
    log.sum_up()  # there is nothing new
    assert not timers
    assert len(caplog.messages) == 7


@pytest.mark.parametrize(
    ("kinds", "a_second"), [([Reason.SIGNATURE], 600), ([*Reason], 200 * len(Reason))]
)
def test_a_flood_writes_few_bytes_a_second(
    log: RefusalLog,
    clock: FakeClock,
    timers: list[Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
    kinds: list[Reason],
    a_second: int,
) -> None:
    """Each kind has a line a second, and all of them have one together."""
    request = new_request("/api/messages/protected")
    seconds = 60
    for _ in range(seconds):
        for _ in range(20):
            for reason in kinds:
                log.note(request, refusal(reason, subject="auth0|somebody"))
        clock.advance(1)
        timers.pop()()
    assert not timers
    told = (seconds + 4) * len(kinds)
    assert len(caplog.messages) == told + seconds
    assert sum(entry["count"] for entry in sums(caplog)) == seconds * 20 * len(kinds) - told
    assert sum(len(message) + 50 for message in caplog.messages) < seconds * a_second


def test_refusals_that_never_end_hide_no_others(
    log: RefusalLog,
    clock: FakeClock,
    timers: list[Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither those of another kind, nor those of the same kind, unless it is a flood."""
    request = new_request()
    for reason in (Reason.SIGNATURE, Reason.NO_CREDENTIALS):
        for _ in range(20):
            log.note(request, refusal(reason))
    timers.pop()()
    for seconds in (9, 9, 9, 1, 1, 1, 1, 1):
        clock.advance(seconds)
        log.note(request, refusal(Reason.NO_CREDENTIALS))
    before = len(caplog.messages)
    for reason in (Reason.SIGNATURE, Reason.NO_CREDENTIALS, Reason.EXPIRED):
        log.note(request, refusal(reason))
    assert len(caplog.messages) == before + 3
    assert not timers


def test_the_sum_names_where_most_of_them_came_from_and_what_they_asked_for(
    log: RefusalLog, timers: list[Callable[[], None]], caplog: pytest.LogCaptureFixture
) -> None:
    for number, count in enumerate((10, 70, 1, 50, 1)):
        request = new_request().clone(remote=f"192.0.2.{number}")
        for _ in range(count):
            log.gets_own_line(request, "signature", route=f"/{number}")
    timers.pop()()
    [entry] = sums(caplog)
    assert (entry["count"], entry["addresses"]) == (127, 5)
    assert entry["routes"] == {"/1": 70, "/3": 50, "/0": 5}
    assert entry["peers"] == {"192.0.2.1": 70, "192.0.2.3": 50, "192.0.2.0": 5}


def test_kinds_that_an_application_makes_up_are_told_apart_up_to_a_bound(
    log: RefusalLog, timers: list[Callable[[], None]]
) -> None:
    request = new_request()
    for number in range(1000):
        log.gets_own_line(request, f"kind {number}")
    assert len(log._lines._left) == bounded._MAX_KINDS + 1
    assert not log.gets_own_line(request, "kind 1000")
    assert log.gets_own_line(request, "kind 0")


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
    [entry] = sums(caplog)
    assert (entry["count"], entry["reasons"]) == (3, {"no_credentials": 3})
    assert (entry["routes"], entry["peers"]) == ({"/": 3}, {"127.0.0.1": 3})
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


@pytest.mark.parametrize(("there", "at_least"), [(5, False), (1000, True), (3000, True)])
def test_no_more_addresses_are_claimed_than_are_told_apart(
    log: RefusalLog,
    timers: list[Callable[[], None]],
    caplog: pytest.LogCaptureFixture,
    *,
    there: int,
    at_least: bool,
) -> None:
    request = new_request()
    for _ in range(bounded._AT_ONCE):
        log.note(request, refusal())
    for number in range(there):
        log.note(request.clone(remote=f"192.0.{number // 250}.{number % 250}"), refusal())
    timers.pop()()
    [entry] = sums(caplog)
    assert (entry["count"], entry["addresses"]) == (there, min(there, 1000))
    assert (f"at least {entry['addresses']} " in caplog.messages[-1]) is at_least


@pytest.mark.parametrize("path", ["/refuses", "/sub/refuses"])
async def test_a_handler_that_has_run_always_has_a_line(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    """It may have done something before it refused the request."""

    @auth.optional
    async def refuses(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.PERMISSIONS)

    app, sub = web.Application(), web.Application()
    for each in (app, sub):
        each.router.add_post("/refuses", refuses)
        auth.setup(each, validator)
    app.add_subapp("/sub", sub)
    client = await aiohttp_client(ApiServer(app))
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            async with client.post(path) as response:
                assert response.status == 403
        await client.close()
    assert sum(entry["count"] for entry in sums(caplog)) > 10
    access = [record for record in caplog.records if record.name == "hello.access"]
    assert len(access) == 20
