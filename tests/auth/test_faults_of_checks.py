"""If a check cannot read a body, or fails, who is to blame, and what is answered?"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.auth.reading.body import RefusedByCheckError
from hello.tokens import bounded
from hello.tokens.hooks import ask
from support.api import ApiServer, bearer
from support.checking import Served, as_stream, in_chunks, read, the_parts
from support.clock import FakeClock
from support.logs import codes, faults, reasons
from support.sockets import connected

# --- What the client sends wrong -----------------------------------------------------------------


async def json_of(request: web.Request) -> object:
    return await request.json()


async def json_of_text(request: web.Request) -> object:
    return json.loads(await request.text())


async def json_of_bytes(request: web.Request) -> object:
    return json.loads(await request.read())


async def decoded(request: web.Request) -> object:
    return (await request.read()).decode()


async def text(request: web.Request) -> object:
    return await request.text()


async def form(request: web.Request) -> object:
    return await request.post()


async def ten_bytes(request: web.Request) -> object:
    return await request.content.readexactly(10)


async def chunks() -> AsyncIterator[bytes]:
    yield b"x" * 200
    yield b"x" * 200


MULTIPART = {"Content_Type": "multipart/form-data; boundary=b"}
WRONG: list[tuple[Any, Any, dict[str, str], int]] = [
    (json_of, b"{not json", {}, 400),
    (
        json_of,
        "{\u00e4".encode("utf-16"),
        {"Content_Type": "application/json; charset=utf-16"},
        400,
    ),
    (json_of_text, b"{not json", {}, 400),
    (json_of_bytes, b"{not json", {}, 400),
    (json_of, b"", {}, 400),
    (json_of_text, b"", {}, 400),
    (json_of_bytes, b"", {}, 400),
    (json_of, b"\xff", {}, 400),
    (decoded, b"\xff", {}, 400),
    (text, b"x", {"Content_Type": "text/plain; charset=none"}, 400),
    (text, b"\xff", {"Content_Type": "text/plain; charset=ascii"}, 400),
    (read, b"x" * 300, {}, 413),
    (read, chunks, {}, 413),
    (as_stream, b"x" * 300, {}, 413),
    (in_chunks, b"x" * 300, {}, 413),
    (read, b"no gzip", {"Content_Encoding": "gzip"}, 400),
    (as_stream, b"no gzip", {"Content_Encoding": "gzip"}, 400),
    (form, b"no form", MULTIPART, 400),
    (form, b"--b\r\n\r\nx\r\n--b--\r\n", MULTIPART, 400),
    (form, b"x" * 300, MULTIPART, 413),
    (form, b"&".join([b"a"] * 60), {"Content_Type": "application/x-www-form-urlencoded"}, 413),
    (the_parts, b"x", {}, 400),
    (the_parts, b"x", {"Content_Type": "multipart/form-data"}, 400),
    (ten_bytes, b"x", {}, 400),
]


@pytest.mark.parametrize(("reads", "sent", "headers", "status"), WRONG)
async def test_what_the_client_sends_wrong_is_its_own_fault(
    served: Served,
    caplog: pytest.LogCaptureFixture,
    reads: Any,
    sent: Any,
    headers: dict[str, str],
    status: int,
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        await reads(request)
        return True

    await served.with_checks(check, max_size=256)
    for _ in range(2):
        answer = await served.post(sent() if callable(sent) else sent, **headers)
        assert answer[0] == status
        assert json.loads(answer[1]).keys() == {"message"}
    assert served.handled == []
    assert served.outcomes == ["body", "body"]
    assert reasons(caplog) == [f"{status} body"] * 2
    assert not faults(caplog)
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("answer", ["", "{"])
async def test_what_a_service_answers_is_no_fault_of_a_client_without_a_body(
    served: Served, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        if answer:
            await request.read()
        return bool(json.loads(answer))

    await served.with_checks(check)
    assert (await served.post(b""))[0] == 403
    assert reasons(caplog) == ["403 check"]


@pytest.mark.parametrize(
    "sent",
    [b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", b"Content-Length: 100\r\n\r\nx"],
)
@pytest.mark.parametrize("reads", [read, as_stream])
async def test_a_body_that_breaks_off_leaves_no_fault(
    served: Served, caplog: pytest.LogCaptureFixture, reads: Any, sent: bytes
) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        begun.set()
        try:
            await reads(request)
        finally:
            left.set()
        return True

    await served.with_checks(check)
    token = served.issuer.mint(claims={"sub": "alice"})
    async with connected(served.client.port or 0) as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        connection.send(head.encode() + sent)
        await asyncio.wait_for(begun.wait(), 30)
    await asyncio.wait_for(left.wait(), 30)
    await served.client.close()
    assert served.handled == []
    assert served.outcomes == ["body"]
    assert not faults(caplog)


@pytest.mark.parametrize("reads", [read, as_stream])
async def test_a_body_that_cannot_be_read_stays_so_for_whoever_reads_it_next(
    served: Served, caplog: pytest.LogCaptureFixture, reads: Any
) -> None:
    """Otherwise the handler would take the rest of it for the whole."""
    caught: list[int] = []

    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        for _ in range(2):
            try:
                await reads(request)
            except web.HTTPRequestEntityTooLarge as error:
                caught.append(error.status)
        return True

    await served.with_checks(check, max_size=256)
    assert (await served.post(b"x" * 300_000))[0] == 413
    assert caught == [413, 413]
    assert served.handled == []
    assert served.outcomes == ["allowed"]
    assert not faults(caplog)


@pytest.mark.parametrize("reads", [read, as_stream])
async def test_a_body_that_does_not_arrive_in_time_is_a_408(
    served: Served, caplog: pytest.LogCaptureFixture, reads: Any
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        await reads(request)
        return True

    await served.with_checks(check, hook_timeout=0.05)
    token = served.issuer.mint(claims={"sub": "alice"})
    async with connected(served.client.port or 0) as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
        connection.send(f"{head}Content-Length: 100\r\n\r\nx".encode())
        answer = await asyncio.wait_for(connection.answer(), 30)
    assert answer.status == 408
    assert served.handled == []
    assert served.outcomes == ["body"]
    assert reasons(caplog) == ["408 body"]
    assert not faults(caplog)


# aiohttp's own server waits for the rest, and closes the connection after ten seconds.
@pytest.mark.parametrize(
    ("server", "is_sent"), [(ApiServer, True), (ApiServer, False), (TestServer, True)]
)
async def test_a_connection_ends_with_the_408(
    served: Served, server: type[TestServer], *, is_sent: bool
) -> None:
    """What comes later of the body is not taken for a request."""

    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        await request.read()
        return True

    await served.with_checks(check, hook_timeout=0.05, server=server)
    token = served.issuer.mint(claims={"sub": "alice"})
    head = f"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    rest = f"{head}Content-Length: 1\r\n\r\nx".encode()
    async with connected(served.client.port or 0) as connection:
        connection.send(f"{head}Content-Length: {1 + len(rest)}\r\n\r\nx".encode())
        answer = await asyncio.wait_for(connection.answer(), 5)
        assert (answer.status, answer.headers["Connection"]) == (408, "close")
        connection.send(rest if is_sent else b"")
        assert await connection.rest() == b""
    assert served.outcomes == ["body"]


async def test_a_check_that_is_late_by_itself_is_a_fault(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(_token: auth.AccessToken, _request: web.Request) -> bool:
        await asyncio.Event().wait()
        return True

    await served.with_checks(check, hook_timeout=0.05)
    assert (await served.post(b"x"))[0] == 403
    assert codes(caplog) == ["check"]


async def test_who_cancels_a_hook_is_obeyed_although_it_refuses() -> None:
    begun = asyncio.Event()

    async def hook() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise auth.UnauthorizedError from None

    asking = asyncio.create_task(ask(hook, timeout=5))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


# --- What the check does wrong -------------------------------------------------------------------


async def asks_a_service_that_answers_nonsense(request: web.Request) -> object:
    await request.read()
    return json.loads("{other nonsense")


async def decodes_something_else(request: web.Request) -> object:
    await request.read()
    return b"\xfe".decode()


async def expects_a_member(request: web.Request) -> object:
    return (await request.json())["owner"]


async def expects_a_key(request: web.Request) -> object:
    await request.read()
    return request["nothing"]


@pytest.mark.parametrize(
    "reads",
    [
        asks_a_service_that_answers_nonsense,
        decodes_something_else,
        expects_a_member,
        expects_a_key,
    ],
)
async def test_what_the_check_does_wrong_is_a_fault_and_does_not_flood_the_log(
    served: Served, clock: FakeClock, caplog: pytest.LogCaptureFixture, reads: Any
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        await reads(request)
        return True

    served.issuer.clock = clock.time
    await served.with_checks(check, clock=clock)
    for _ in range(bounded._AT_ONCE + 3):
        assert (await served.post(b"{}"))[0] == 403
    assert served.handled == []
    assert codes(caplog) == ["check"] * bounded._AT_ONCE
    assert all(fault.exc_info for fault in faults(caplog))
    clock.advance(1)
    await served.post(b"{}")
    assert codes(caplog) == ["check"] * (bounded._AT_ONCE + 1)
    assert all("check.<locals>" not in fault.getMessage() for fault in faults(caplog))


# --- Its own answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (web.HTTPNotFound, 404, "check"),
        (web.HTTPForbidden, 403, "check"),
        (web.HTTPGone, 410, "check"),
        (web.HTTPUnprocessableEntity, 422, "check"),
        (web.HTTPBadRequest, 400, "check"),
    ],
)
@pytest.mark.parametrize("data", [b"", b"x"])
async def test_a_check_may_raise_the_answer(
    served: Served,
    caplog: pytest.LogCaptureFixture,
    error: Any,
    status: int,
    reason: str,
    data: bytes,
) -> None:
    """It is the same as if the handler had raised it, and a refusal all the same."""

    def check(_token: auth.AccessToken, _request: web.Request) -> bool:
        raise error(headers={"Retry-After": "7"})

    await served.with_checks(check)
    headers = bearer(served.issuer.mint(claims={"sub": "alice"}))
    async with served.client.post("/", headers=headers, data=data) as response:
        assert (response.status, response.headers["Retry-After"]) == (status, "7")
    assert served.handled == []
    assert served.outcomes == [reason]
    assert reasons(caplog) == [f"{status} {reason}"]
    assert "sub='alice'" in caplog.text
    assert RefusedByCheckError(auth.Reason.CHECK, error()).headers == {}
    assert not faults(caplog)


@pytest.mark.parametrize(
    "error",
    [
        web.HTTPOk(),
        web.HTTPFound("/"),
        web.HTTPUnauthorized(),
        web.HTTPProxyAuthenticationRequired(),
        web.HTTPInternalServerError(),
    ],
    ids=lambda error: str(error.status),
)
async def test_any_other_answer_is_a_fault_of_the_check(
    served: Served, caplog: pytest.LogCaptureFixture, error: web.HTTPException
) -> None:
    def check(_token: auth.AccessToken, _request: web.Request) -> bool:
        raise error

    await served.with_checks(check)
    assert (await served.post(b"x"))[0] == 403
    assert served.handled == []
    assert reasons(caplog) == ["403 check"]
    assert [fault.levelno for fault in faults(caplog)] == [logging.ERROR]


async def test_a_refusal_of_the_handler_keeps_its_answer_whatever_caused_it(
    served: Served,
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.CHECK) from web.HTTPNotFound()

    await served.with_checks(lambda _token, _request: True, handler=handler)
    assert (await served.post(b"x"))[0] == 403
