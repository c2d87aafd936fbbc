"""Do agents that know only the address of an MCP server log in, call tools, and ask for more?

    .venv/bin/python tests/agents/run.py [--only pypi] [--folder FOLDER]

The server is that of hello/docs/mcp-server.md, and the issuer is the sandbox's. The clients are
`mcp` from PyPI and `@modelcontextprotocol/sdk` from npm; they are installed in a temporary folder.
Prints what each of them sent. Exits with 1 if a client does not get through.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from socket import create_server, socket
from typing import Any, Self
from urllib.parse import parse_qsl, urljoin

from aiohttp import ClientSession, CookieJar, web
from aiohttp.typedefs import Handler, Middleware

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from hello import auth  # noqa: E402 - from the folders above
from hello.sandbox.issuer import Issuer, issuer_app  # noqa: E402
from real_issuers.installing import InstallError, from_npm, from_pypi  # noqa: E402
from support.pages import example  # noqa: E402

PAGE = "hello/docs/mcp-server.md"
ADDRESS = "https://notes.example.com/mcp"
_SECONDS = 60  # for one client, once it is installed
_PERSON = "sandbox|ada"
_TRANSACTION = re.compile(r'name="transaction" value="([^"]+)"')


def python_client(folder: Path) -> list[str]:
    """Install PyPI's client. Return its command."""
    return [str(from_pypi(folder / "mcp", "mcp>=2.3")), str(HERE / "mcp_client.py")]


def npm_client(folder: Path) -> list[str]:
    """Install npm's client. Return its command."""
    return ["node", str(from_npm(folder / "npm", "mcp_client.mjs", HERE))]


CLIENTS: dict[str, Callable[[Path], list[str]]] = {"pypi": python_client, "npm": npm_client}


def noting(name: str, lines: list[str]) -> Middleware:
    """Return a middleware that writes down what was asked, and what was answered."""

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.text()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            lines.append(_line(name, request, body, error))
            raise
        lines.append(_line(name, request, body, response))
        return response

    return note


def _line(name: str, request: web.Request, body: str, response: web.StreamResponse) -> str:
    said = [f"{name:6} {request.method} {request.path}"]
    if body.startswith("{"):
        message = json.loads(body)
        tool = message.get("params", {}).get("name")
        said += [each for each in (message.get("method"), tool) if each]
    sent = {**request.query, **dict(parse_qsl(body))}
    said += [f"{each}={sent[each]}" for each in ("grant_type", "resource", "scope") if each in sent]
    challenge = response.headers.get("WWW-Authenticate", "").partition(", DPoP ")[0]
    told = f"\n           {challenge}" if challenge else ""
    return f"{' '.join(said)} -> {response.status}{told}"


async def log_in(request: web.Request) -> web.Response:
    """Do what a person does in a browser: choose who they are. Return where that leads."""
    url = request.query["url"]
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        async with session.get(url, allow_redirects=False) as page:
            text, location = await page.text(), page.headers.get("Location")
        found = _TRANSACTION.search(text)
        if found is not None:
            form = {"transaction": found[1], "person": _PERSON}
            login = urljoin(url, "/login")
            async with session.post(login, data=form, allow_redirects=False) as answer:
                text, location = await answer.text(), answer.headers.get("Location")
    return web.Response(text=location or f"no redirect: {text}")


class Serving:
    """Serves applications on free ports of this machine, until the end of the block."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def serve(self, app: web.Application, place: socket | None = None) -> str:
        """Serve an application. Return its address, which ends with a slash."""
        place = place or create_server(("127.0.0.1", 0))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, place).start()
        return address_of(place)


def address_of(place: socket) -> str:
    return f"http://127.0.0.1:{place.getsockname()[1]}/"


@asynccontextmanager
async def served(lines: list[str]) -> AsyncIterator[tuple[str, str]]:
    """Serve all three. Yields the address of the MCP server, and that of the browser."""
    place = create_server(("127.0.0.1", 0))
    resource = f"{address_of(place)}mcp"
    async with Serving() as serving:
        issuer = Issuer(
            audience=resource,
            permissions=frozenset({"notes:read", "notes:write"}),
            registration=True,
        )
        issuing = issuer_app(issuer)
        issuing.middlewares.insert(0, noting("issuer", lines))
        issuer.url = await serving.serve(issuing)
        names: dict[str, Any] = {"__name__": "notes"}
        exec(compile(example(PAGE, "server").replace(ADDRESS, resource), PAGE, "exec"), names)
        api = names["create_app"](auth.TokenValidator(issuer=issuer.url, audience=resource))
        api.middlewares.insert(0, noting("server", lines))
        await serving.serve(api, place)
        browser = web.Application()
        browser.router.add_get("/", log_in)
        yield resource, await serving.serve(browser)


async def run(command: list[str]) -> tuple[int, list[str], str]:
    """Run a client. Return its status, what was sent and answered, and what it printed."""
    lines: list[str] = []
    async with served(lines) as (server, browser):
        client = await asyncio.create_subprocess_exec(
            *command, server, browser, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(_SECONDS):
                printed, _ = await client.communicate()
        except TimeoutError:
            client.kill()
            printed, _ = await client.communicate()
    return client.returncode or 0, lines, printed.decode()


async def main(names: list[str], folder: Path) -> bool:
    """Run the clients. Return whether each of them got through."""
    passed = True
    for name in names:
        print(f"## {name}\n")
        try:
            command = CLIENTS[name](folder)
        except InstallError as error:
            print(f"MISSING: {error}")
            passed = False
            continue
        status, lines, printed = await run(command)
        print(*lines, "", printed, sep="\n")
        passed &= status == 0 and "Written by" in printed
    return passed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CLIENTS, action="append", help="this client")
    parser.add_argument("--folder", type=Path, help="keep what is installed there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        sys.exit(not asyncio.run(main(arguments.only or list(CLIENTS), folder)))
