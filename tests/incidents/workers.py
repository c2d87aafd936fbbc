"""What happens when a worker is killed, and when a new version is deployed?"""

import asyncio
import os
import signal
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import aiohttp

from incidents.serving import Provider, workers
from incidents.watching import Watch
from support.api import bearer
from support.pages import example

_GUIDE, _STREAMS = "hello/docs/own-project.md", "hello/docs/streams-and-limits.md"

# An application of one's own, with a stream and a WebSocket, as its pages have it.
_SERVER = """
import os
from hello.logs import log_to_stderr
from hello.operating import health, metrics
from hello.operating.start_line import log_start
from hello.server import Runner
from my_api import create_app
from my_events import add_events
from my_feed import add_feed

async def production():
    log_to_stderr("info")
    app = create_app(os.environ["ISSUER_BASE_URL"], os.environ["AUTH0_AUDIENCE"])
    add_events(app)
    add_feed(app)
    health.setup(app)
    metrics.setup(app, port=int(os.environ["METRICS_PORT"]))
    log_start(app)
    return Runner(app)
"""
_MAY_READ = {"permissions": ["read:reports"]}


async def worker_is_killed(folder: Path) -> str:
    """Kill the worker that a client is connected to."""
    async with Provider.running() as provider, workers(folder, provider) as watch:
        await _all_have_keys(watch, provider)
        await watch.look(None)
        with closing(HTTPConnection("127.0.0.1", watch.port, timeout=30)) as client:
            await watch.ask_again("a token", client, provider.mint())
            await watch.look(None)
            os.kill(watch.last_pid(), signal.SIGKILL)
            await watch.ask_again("the next one on that connection", client, provider.mint())
        await watch.ask("the same on another connection", provider.token())
        await watch.until(lambda: watch.program.err.count("Ready: ") == 3)
        await watch.until_counted(*_sets(provider, fresh=1, not_asked=1))
        await watch.look("the system has killed one of two workers", counts=False)
        return watch.text


async def _all_have_keys(watch: Watch, provider: Provider) -> None:
    """Send requests on new connections until each of two workers has got one."""
    async with asyncio.timeout(60):
        while "".join(_sets(provider, fresh=2)) not in await watch.metric_lines():
            async with asyncio.TaskGroup() as clients:
                for _ in range(20):
                    clients.create_task(_ask_once(watch, provider))


async def _ask_once(watch: Watch, provider: Provider) -> None:
    headers = {**provider.token(), "Connection": "close"}
    async with watch.session.get(watch.protected, headers=headers) as answer:
        assert answer.status == 200


def _sets(provider: Provider, **states: int) -> list[str]:
    """The lines of the metrics that say in which state the workers' keys are."""
    name = f'hello_auth_key_sets{{source="{provider.url}",state='
    return [f'{name}"{state}"}} {number:.1f}' for state, number in states.items()]


async def version_is_deployed(folder: Path) -> str:
    """Reload and stop a server to which an event stream and a WebSocket are open."""
    folder.mkdir()  # noqa: ASYNC240 - nobody waits meanwhile
    for name, code in (
        ("my_api", example(_GUIDE, "own-project")),
        ("my_events", example(_STREAMS, "my-events")),
        ("my_feed", example(_STREAMS, "my-feed")),
        ("my_server", _SERVER),
    ):
        (folder / f"{name}.py").write_text(code)
    async with (
        Provider.running() as provider,
        workers(folder, provider, "my_server:production", number=1) as watch,
    ):
        headers = bearer(provider.mint(claims=_MAY_READ))
        await watch.look(None, says="started: ")
        await _signalled(watch, headers, signal.SIGHUP)
        await watch.until(lambda: "Worker exiting" in watch.program.err)
        await watch.until(lambda: watch.program.err.count("Ready: ") == 2)
        await watch.until_counted(*_sets(provider, fresh=0, not_asked=1))
        await watch.look("systemctl reload: SIGHUP", says=" GET /feed 101")
        await _signalled(watch, headers, signal.SIGTERM)
        status = watch.program.ends()
        watch.note("the exit status of gunicorn", str(status))
        await watch.look("systemctl stop: SIGTERM")
        return watch.text


async def _signalled(watch: Watch, headers: dict[str, str], number: signal.Signals) -> None:
    """Send a signal while both are open, and note what their clients are told."""
    async with (
        aiohttp.ClientSession() as probes,
        watch.session.ws_connect(f"{watch.url}/feed", headers=headers) as feed,
        watch.session.get(f"{watch.url}/events", headers=headers) as events,
    ):
        await watch.until_ready_says('"ready"', probes)
        async with asyncio.TaskGroup() as looking:
            if number == signal.SIGTERM:  # asked all the time, because the drain is short
                looking.create_task(watch.until_ready_says('"draining"', probes))
            watch.program.send(number)
            text = (await events.text()).replace("\n", "\\n")
            watch.note("an event stream ends with", text)
            closed = await feed.receive()
            watch.note("a WebSocket is closed with", f"{closed.type.name} {closed.data}")
        if number == signal.SIGTERM:
            watch.note("/readyz on an open connection", '503 {"status": "draining"}')
