"""Has each request an id, in its answer and in every line of the log about it?"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.logs import JsonFormatter, LineFormatter, RequestFilter, request_id
from hello.sandbox.issuer import Issuer
from hello.tokens import bounded
from support.api import ORIGIN, ApiServer, Client, config_for
from support.logs import JsonLines, json_lines
from support.sockets import Answer, app_with, connected, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
ID = "X-Request-ID"
PROTECTED = "/api/messages/protected"

logger = logging.getLogger("my_api")


@pytest.fixture
def log() -> Iterator[JsonLines]:
    with json_lines() as lines:
        yield lines


@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ([f"00-{TRACE}-{SPAN}-01"], True),
        ([f"00-{TRACE}-{SPAN}-ff"], True),
        ([f"cc-{TRACE}-{SPAN}-01"], True),
        ([f"01-{TRACE}-{SPAN}-01-what-comes-later"], True),
        ([f"00-{TRACE}-{SPAN}-01-more"], False),
        ([f"00-{TRACE}-{SPAN}-01-"], False),
        ([f"01-{TRACE}-{SPAN}-01.more"], False),
        ([f"ff-{TRACE}-{SPAN}-01"], False),
        ([f"00-{TRACE.upper()}-{SPAN}-01"], False),
        ([f"00-{TRACE}-{SPAN.upper()}-01"], False),
        ([f"00-{'0' * 32}-{SPAN}-01"], False),
        ([f"00-{TRACE}-{'0' * 16}-01"], False),
        ([f"00-{TRACE[:-1]}-{SPAN}-01"], False),
        ([f"00-{TRACE}0-{SPAN}-01"], False),
        ([f"00-{TRACE}-{SPAN}-1"], False),
        ([f"0-{TRACE}-{SPAN}-01"], False),
        ([f"00-{TRACE}-{SPAN}"], False),
        ([f"00-{TRACE}-{SPAN}-01"] * 2, False),
        ([TRACE], False),
        ([""], False),
        ([f"00-{TRACE[:-1]}\u0663-{SPAN}-01"], False),
    ],
)
async def test_the_trace_id_of_a_good_traceparent_is_the_id(
    api: Client, values: list[str], *, taken: bool
) -> None:
    """W3C Trace Context §3.2.2: everything else is as if it were not there."""
    headers = [("traceparent", value) for value in values]
    async with api.get(PROTECTED, headers=headers) as response:
        assert len(response.headers[ID]) == 32
        assert int(response.headers[ID], 16)
        assert (response.headers[ID] == TRACE) is taken


async def test_ids_are_made_anew(api: Client) -> None:
    found = set()
    for _ in range(50):
        async with api.get("/api/messages/public") as response:
            found.add(response.headers[ID])
    assert len(found) == 50


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/messages/public", 200),
        ("GET", PROTECTED, 401),
        ("GET", "/nowhere", 404),
        ("POST", PROTECTED, 405),
        ("OPTIONS", PROTECTED, 200),
        ("GET", "/boom", 500),
        ("GET", "/own", 200),
        ("GET", "/stream", 200),
    ],
)
async def test_every_answer_of_an_application_has_one_id_that_its_client_can_read(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    method: str,
    path: str,
    status: int,
) -> None:
    @auth.public
    async def boom(_request: web.Request) -> web.Response:
        raise ZeroDivisionError

    @auth.public
    async def own(_request: web.Request) -> web.Response:
        return web.Response(headers={ID: "of its own"})

    @auth.public
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    app = create_app(config_for(issuer))
    for name, handler in (("/boom", boom), ("/own", own), ("/stream", stream)):
        app.router.add_get(name, handler)
    client = await aiohttp_client(ApiServer(app))
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "traceparent": f"00-{TRACE}-{SPAN}-01",
    }
    async with client.request(method, path, headers=headers) as response:
        assert response.status == status
        assert response.headers.getall(ID) == [TRACE]
        if method != "OPTIONS" and path in ("/boom", "/nowhere", PROTECTED):
            assert ID in response.headers["Access-Control-Expose-Headers"].split(", ")


async def broken(_request: web.Request) -> web.Response:
    return web.Response(headers={"X-Text": "a\nb"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no http\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
        (b"GET http://xn--a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500),
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    ],
)
async def test_an_answer_from_outside_of_the_application_has_an_id_and_so_has_its_line(
    log: JsonLines, sent: bytes, status: int
) -> None:
    async with serving(app_with(broken)) as port, connected(port) as connection:
        connection.send(sent)
        answer = await connection.answer()
        await connection.rest()
    assert answer.status == status
    assert log.entries
    assert {(entry["request_id"], entry["peer"]) for entry in log.entries} == {
        (answer.headers[ID], "127.0.0.1")
    }


async def say(request: web.Request) -> web.Response:
    """Log something in each of the ways in which a handler does so."""
    logger.info("%s in the handler", request.path)
    await asyncio.to_thread(logger.info, "%s in a thread", request.path)

    async def in_a_task() -> None:
        logger.info("%s in a task", request.path)

    async def afterwards() -> None:
        await released.wait()
        logger.info("%s afterwards", request.path)

    await asyncio.create_task(in_a_task())
    released: asyncio.Event = request.app[RELEASED]
    request.app[TASKS].append(asyncio.create_task(afterwards()))
    return web.Response(text=request_id())


RELEASED = web.AppKey("RELEASED", asyncio.Event)
TASKS = web.AppKey("TASKS", list[asyncio.Task[None]])


async def test_lines_of_the_applications_own_have_the_id_of_their_request(log: JsonLines) -> None:
    """Also if many requests come by one connection, and if a task lives longer than its request."""
    app = web.Application()
    app[RELEASED], app[TASKS] = asyncio.Event(), []
    app.router.add_get("/{name}", say)
    ids = {}
    async with serving(app) as port, connected(port) as connection:
        connection.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(3)))
        for number in range(3):
            answer: Answer = await connection.answer()
            ids[f"/{number}"] = answer.headers[ID]
            assert answer.body.decode() == answer.headers[ID]
        app[RELEASED].set()
        await asyncio.gather(*app[TASKS])
    own = log.of("my_api")
    assert len(own) == 12
    for entry in own:
        assert entry["request_id"] == ids[entry["message"].split()[0]]
    assert [e["request_id"] for e in log.of("hello.access")] == [*ids.values()]
    assert len(set(ids.values())) == 3
    assert request_id() is None


async def test_what_sums_up_many_requests_has_no_id(
    api: Client, log: JsonLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def note(delay: float, *arguments: object, **options: object) -> asyncio.TimerHandle:
        handle = call_later(delay, *arguments, **options)  # type: ignore[arg-type]
        if delay == 1:
            later.append(handle)
        return handle

    monkeypatch.setattr(loop, "call_later", note)
    for _ in range(bounded._AT_ONCE + 3):
        async with api.get(PROTECTED) as response:
            assert response.status == 401
    [timer] = later
    timer._run()
    [entry] = [each for each in log.entries if "count" in each]
    assert (entry["count"], entry["reasons"], entry["addresses"]) == (3, {"no_credentials": 3}, 1)
    assert "request_id" not in entry


@contextmanager
def written(formatter: logging.Formatter, *filters: logging.Filter) -> Iterator[list[str]]:
    """What one handler writes of the application's own lines."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Lines()
    handler.setFormatter(formatter)
    for each in filters:
        handler.addFilter(each)
    loggers = [logger, logging.getLogger("hello")]
    for each_logger in loggers:
        each_logger.addHandler(handler)
    try:
        yield lines
    finally:
        for each_logger in loggers:
            each_logger.removeHandler(handler)


async def test_a_line_of_text_ends_with_the_id_and_says_once_where_the_request_came_from(
    issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    @auth.public
    async def handler(_request: web.Request) -> web.Response:
        logger.warning("said")
        raise ZeroDivisionError

    app = create_app(config_for(issuer))
    app.router.add_get("/", handler)
    client = await aiohttp_client(ApiServer(app))
    with written(LineFormatter("%(message)s")) as lines:
        logger.warning("before")
        for path in ("/", PROTECTED):
            headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
            async with client.get(path, headers=headers) as response:
                await response.read()
    about = f"request={TRACE}"
    assert lines[:2] == ["before", f"said {about} from=127.0.0.1"]
    first, *stack = lines[2].split("\n")
    assert first.endswith(f" {about} from=127.0.0.1")
    assert stack
    assert all(line.startswith("    | ") for line in stack)
    assert lines[3].endswith(f" sub=- from=127.0.0.1 {about}")


async def test_a_handler_of_ones_own_gets_both_by_a_filter() -> None:
    async def handler(_request: web.Request) -> web.Response:
        logger.warning("within")
        return web.Response(text=request_id())

    form = logging.Formatter("%(message)s %(request_id)s %(peer)s")
    with written(form, RequestFilter()) as lines:
        logger.warning("outside")
        async with serving(app_with(handler)) as port, connected(port) as connection:
            answer = await connection.get("/")
    assert lines == ["outside None None", f"within {answer.body.decode()} 127.0.0.1"]


async def test_the_filter_of_one_handler_changes_no_line_of_another() -> None:
    async def handler(_request: web.Request) -> web.Response:
        logger.warning("within")
        logger.warning("named", extra={"peer": "theirs", "request_id": "theirs"})
        return web.Response()

    own = logging.Formatter("%(message)s %(request_id)s %(peer)s")
    text, plain = LineFormatter("%(message)s"), JsonFormatter()
    with (
        written(own, RequestFilter(), RequestFilter()) as filtered,
        written(text) as lines,
        written(plain) as entries,
        written(plain, RequestFilter()) as filtered_entries,
    ):
        logger.warning("outside")
        async with serving(app_with(handler)) as port, connected(port) as connection:
            name = (await connection.get("/")).headers[ID]
    assert filtered == ["outside None None", f"within {name} 127.0.0.1", "named theirs theirs"]
    about = f"request={name}"
    assert lines == ["outside", f"within {about} from=127.0.0.1", f"named {about}"]
    assert entries == filtered_entries
    outside, within, named = map(json.loads, entries)
    assert not {"request_id", "peer", "hello_added"} & outside.keys()
    assert outside.keys() | {"request_id", "peer"} == within.keys() == named.keys()
    assert (within["request_id"], within["peer"]) == (name, "127.0.0.1")
    assert (named["request_id"], named["peer"]) == (name, "127.0.0.1")
