"""A route whose checks read the body, and its client."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import BodyPartReader, web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.auth.protection import observe
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer

Check = Callable[[auth.AccessToken, web.Request], Any]
Start = Callable[[TestServer], Awaitable[Client]]


class Served:
    """A route with checks, its client, and what became of the requests."""

    def __init__(self, start: Start, issuer: Issuer) -> None:
        self._start = start
        self.issuer = issuer
        self.client: Client
        self.outcomes: list[str] = []
        self.handled: list[bytes] = []

    async def with_checks(
        self,
        *checks: Check,
        handler: Any = None,
        max_size: int = 1 << 20,
        server: type[TestServer] = ApiServer,
        **options: Any,
    ) -> "Served":
        """The last check is the handler's. Each other one is of an application around it."""

        async def reads(request: web.Request) -> web.Response:
            self.handled.append(await request.content.read())
            return web.Response(body=self.handled[-1])

        issuer = self.issuer
        apps = [web.Application(client_max_size=max_size, client_max_fields=50) for _ in checks]
        app = apps[0]
        validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, **options)
        auth.setup(app, validator)
        observe(app, lambda decision: self.outcomes.append(decision.outcome))
        marked = auth.protected(check=checks[-1])(handler or reads)
        apps[-1].router.add_post("/", marked)
        for around, check, part in [*zip(apps, checks, apps[1:], strict=False)][::-1]:
            around.add_subapp("/part", auth.protected(check=check)(part))
        self.path = "/part" * (len(checks) - 1) + "/"
        self.client = await self._start(server(app))
        return self

    async def post(self, data: Any, **headers: str) -> tuple[int, bytes]:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= bearer(self.issuer.mint(claims={"sub": "alice"}))
        async with self.client.post(self.path, headers=headers, data=data) as response:
            return response.status, await response.read()


@pytest.fixture
def served(aiohttp_client: Start, issuer: Issuer) -> Served:
    return Served(aiohttp_client, issuer)


async def read(request: web.Request) -> bytes:
    return await request.read()


async def as_stream(request: web.Request) -> bytes:
    return await request.content.read()


async def in_chunks(request: web.Request) -> bytes:
    return b"".join([chunk async for chunk in request.content.iter_chunked(1000)])


async def as_it_comes(request: web.Request) -> bytes:
    return b"".join([chunk async for chunk, _ in request.content.iter_chunks()])


async def in_lines(request: web.Request) -> bytes:
    return b"".join([line async for line in request.content])


async def a_part(request: web.Request) -> bytes:
    return await request.content.readexactly(2)


async def nothing(_request: web.Request) -> bytes:
    return b""


async def the_form(request: web.Request) -> bytes:
    file = (await request.post())["file"]
    assert isinstance(file, web.FileField)
    return file.file.read()


async def the_parts(request: web.Request) -> bytes:
    part = await (await request.multipart()).next()
    assert isinstance(part, BodyPartReader)
    return bytes(await part.read())
