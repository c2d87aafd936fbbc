"""Which connections are a trusted proxy's: through a Unix socket, from a mapped address, closed?"""

import socket
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from hello import auth
from hello.auth.reading.proxies import TrustedProxies
from hello.server import Runner


async def asked(
    proxies: Sequence[str], listener: socket.socket, url: str, connector: aiohttp.BaseConnector
) -> bool:
    """Whether a request that comes in at a socket is one of the proxies'."""
    trusted = TrustedProxies(proxies)

    async def handler(request: web.Request) -> web.Response:
        return web.json_response(trusted.sent(request))

    app = web.Application()
    app.router.add_get("/", handler)
    runner = Runner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url) as response,
        ):
            return bool(await response.json())
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("proxies", "expected"), [(["unix"], True), (["0.0.0.0/0", "::/0"], False)]
)
async def test_a_unix_socket_has_no_address(
    tmp_path: Path, proxies: list[str], *, expected: bool
) -> None:
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    connector = aiohttp.UnixConnector(path)
    assert await asked(proxies, listener, "http://localhost/", connector) is expected


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        (["127.0.0.1"], True),
        (["127.0.0.0/8"], True),
        (["::ffff:127.0.0.1"], True),
        (["::ffff:127.0.0.0/104"], True),
        (["::ffff:10.0.0.0/104"], False),
        (["127.0.0.2"], False),
        (["unix"], False),
        (["::1"], False),
    ],
)
async def test_an_address_of_ipv4_is_one_on_a_socket_of_ipv6_too(
    proxies: list[str], *, expected: bool
) -> None:
    """There it comes as ::ffff:127.0.0.1."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no sockets for both kinds of addresses")
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert await asked(proxies, listener, url, aiohttp.TCPConnector()) is expected


@pytest.mark.parametrize("name", ["AF_VSOCK", "AF_UNSPEC"])
def test_what_is_neither_an_address_nor_a_unix_socket_is_nobodys(name: str) -> None:
    family = getattr(socket, name, None)
    if family is None:
        pytest.skip(f"this system has no {name}")
    connection = mock.Mock(family=family)
    request = make_mocked_request("GET", "/")
    with mock.patch.object(request, "get_extra_info", return_value=connection):
        assert not TrustedProxies(["0.0.0.0/0", "::/0", "unix"]).sent(request)


@pytest.mark.parametrize(
    ("connection", "peer"),
    [
        (None, None),
        (None, ("127.0.0.1", 80)),
        (mock.Mock(family=socket.AF_INET), None),  # as uvloop has it after a reset
        (mock.Mock(family=socket.AF_INET6), ()),
    ],
)
def test_a_connection_that_is_closed_or_was_reset_is_nobodys(
    connection: object, peer: object
) -> None:
    request = make_mocked_request("GET", "/")
    info = {"socket": connection, "peername": peer}
    with mock.patch.object(request, "get_extra_info", side_effect=info.get):
        assert not TrustedProxies(["0.0.0.0/0", "::/0", "unix"]).sent(request)


def test_the_same_proxies_are_equal() -> None:
    """Applications within each other may name them one by one."""
    header = auth.CertificateHeader(proxies=["10.0.0.1", "unix"])
    assert header == auth.CertificateHeader(proxies=["unix", "10.0.0.1"])
    assert hash(header) == hash(auth.CertificateHeader(proxies=["10.0.0.1", "unix"]))
    assert header not in (
        auth.CertificateHeader(proxies=["10.0.0.1"]),
        auth.CertificateHeader(proxies=["10.0.0.1", "unix"], name="X"),
        None,
    )
    assert TrustedProxies(["unix"]) != "unix"


def test_a_connection_that_is_closed_is_nobodys() -> None:
    request = make_mocked_request("GET", "/")
    with mock.patch.object(request, "get_extra_info", return_value=None):
        assert not TrustedProxies(["0.0.0.0/0", "::/0", "unix"]).sent(request)
