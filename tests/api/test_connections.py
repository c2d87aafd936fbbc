"""What does Runner override of aiohttp, and what does it do to an application?"""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType

import pytest
from aiohttp import web

import hello
from hello.auth.reading.body import _Stream
from hello.bodies import LazyBody, _NoConnection
from hello.connections import Runner, _ErrorResponse, _note_answer, _RequestHandler, _Server
from support.sockets import app_with, connected, serving
from support.sockets import hello as say_hello

MODULES = {"hello.connections", "hello.bodies", "hello.auth.reading.body"}
OVERRIDDEN: list[tuple[type, str]] = [
    (Runner, "_make_server"),
    (Runner, "cleanup"),
    (_Server, "__call__"),
    (_RequestHandler, "_handle_request"),
    (_RequestHandler, "finish_response"),
    (_RequestHandler, "handle_error"),
    (_RequestHandler, "log_exception"),
    (_ErrorResponse, "_prepare_headers"),
    (LazyBody, "_wait"),
    (_Stream, "_wait"),
    (_NoConnection, "pause_reading"),
    (_NoConnection, "resume_reading"),
]


def overridden_method(kind: type, name: str) -> object:
    """The method of aiohttp that a class overrides by this name, or None."""
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("aiohttp.")]
    return next((vars(base)[name] for base in bases if name in vars(base)), None)


def overrides_in(module: str) -> Iterator[tuple[type, str]]:
    """Each method of aiohttp that a class of this module overrides; constructors left out."""
    for kind in vars(import_module(module)).values():
        if isinstance(kind, type) and kind.__module__ == module:
            for name, value in vars(kind).items():
                is_method = isinstance(value, FunctionType) and name != "__init__"
                if is_method and overridden_method(kind, name) is not None:
                    yield kind, name


@pytest.mark.parametrize(("kind", "name"), OVERRIDDEN)
def test_aiohttp_has_the_method_and_calls_it_with_the_same_arguments(kind: type, name: str) -> None:
    ours, theirs = vars(kind)[name], overridden_method(kind, name)
    assert isinstance(theirs, FunctionType)
    assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)
    parameters = [
        [(each.name, each.kind, each.default) for each in signature.parameters.values()]
        for signature in (inspect.signature(ours), inspect.signature(theirs))
    ]
    assert parameters[0] == parameters[1]


def test_the_list_of_overridden_methods_is_complete() -> None:
    assert {found for module in MODULES for found in overrides_in(module)} == set(OVERRIDDEN)


def test_no_other_file_overrides_a_private_method_of_aiohttp() -> None:
    found = {
        module.name
        for module in pkgutil.walk_packages(hello.__path__, "hello.")
        for _, name in overrides_in(module.name)
        if name.startswith("_") and not name.startswith("__")
    }
    assert found == MODULES


async def test_an_applications_handler_args_count() -> None:
    app = web.Application(handler_args={"max_field_size": 20_000, "handler_cancellation": True})
    app.router.add_get("/", say_hello)
    runner = Runner(app)
    await runner.setup()
    assert runner.server is not None
    assert runner.server.handler_cancellation
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with connected(site.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 10_000 + b"\r\n\r\n")
        assert (await connection.answer()).status == 200
    await runner.cleanup()


async def test_an_option_that_does_not_exist_ends_the_start() -> None:
    app = app_with(say_hello)
    app._handler_args = {"max_feild_size": 20_000}
    runner = Runner(app)
    with pytest.raises(TypeError, match="max_feild_size"):
        await runner.setup()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"Content-Type": "text/event-stream"}, "no"),
        ({"Content-Type": "text/event-stream; charset=utf-8"}, "no"),
        ({"Content-Type": "text/event-stream", "X-Accel-Buffering": "yes"}, "yes"),
        ({"Content-Type": "text/plain"}, None),
    ],
)
async def test_nginx_is_told_to_pass_events_on_at_once(
    given: dict[str, str], sent: str | None
) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=given)
        await response.prepare(request)
        return response

    async with serving(app_with(stream)) as port, connected(port) as connection:
        assert (await connection.get("/")).headers.get("X-Accel-Buffering") == sent


async def test_an_application_that_is_run_again_notes_its_streams_once() -> None:
    app = app_with(say_hello)
    for _ in range(2):
        runner = Runner(app)
        await runner.setup()
        await runner.cleanup()
    assert app.on_response_prepare.count(_note_answer) == 1
