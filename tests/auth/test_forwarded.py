"""Who may say where a request comes from, and what if it is nonsense?"""

import asyncio
import ipaddress
import random
import time
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from hello import auth
from hello.auth.decisions.decision import Decision
from hello.auth.protection import observe
from hello.auth.reading import forwarded
from hello.auth.reading.forwarded import forwarded_address
from hello.auth.reading.proxies import TrustedProxies
from hello.connections import Runner
from support.logs import JsonLines, json_lines
from support.protecting import new_handler
from support.sockets import connected

TRUSTED = ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]
CLIENT, OTHER = "203.0.113.7", "198.51.100.9"
V6 = "2001:db8::1"


@pytest.fixture
def log() -> Iterator[JsonLines]:
    with json_lines() as lines:
        yield lines


class Connection:
    """What a request knows of its connection."""

    def __init__(self, headers: list[tuple[str, str]], peer: str = "127.0.0.1") -> None:
        self.headers = web.Response(headers=headers).headers
        self.raw_headers = [
            (name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers
        ]
        self.peer = peer

    def get_extra_info(self, name: str) -> object:
        return (self.peer, 4711) if name == "peername" else self

    @property
    def family(self) -> int:
        return 2


def address(*headers: tuple[str, str], peer: str = "127.0.0.1") -> str | None:
    """The address that these headers lead to, or None if it is that of the connection."""
    request: object = Connection([*headers], peer)
    return forwarded_address(request, TrustedProxies(TRUSTED))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT}", CLIENT),
        (f'for="{CLIENT}"', CLIENT),
        (f'for="{CLIENT}:47011"', CLIENT),
        (f'for="{CLIENT}:_port-1"', CLIENT),
        (f'for="[{V6}]"', V6),
        (f'for="[{V6}]:4711"', V6),
        (f'for="[{V6.upper()}]"', V6),
        (f'for="[::ffff:{CLIENT}]"', CLIENT),
        ('for="2\\03.0.113.7"', CLIENT),
        (f"proto=https;for={CLIENT};by=10.0.0.1", CLIENT),
        (f"proto=https; for={CLIENT} ;by=10.0.0.1", CLIENT),
        (f"for={CLIENT};;host=a", CLIENT),
        (f'for={CLIENT};host="a, for=b; for=c"', CLIENT),
        (f'for={CLIENT};ext="a\\"b, for={OTHER}"', CLIENT),
        (f"for={OTHER}, for={CLIENT}, for=10.0.0.2", CLIENT),
        (f"for={OTHER},for={CLIENT}", CLIENT),
        (f'for={CLIENT}, for="[2001:db8:1::9]:80", for=10.0.0.2', CLIENT),
        (f", for={CLIENT}, ,", CLIENT),
        ("for=10.0.0.3, for=10.0.0.2", "10.0.0.3"),
        # Whatever a client writes before that changes nothing.
        (f'for="{OTHER}, for={CLIENT}', CLIENT),
        (f'for={OTHER};ext=", for={CLIENT}', CLIENT),
        (f'for="{OTHER}\\", for="{CLIENT}"', CLIENT),
        (f'"", x, ;=, for={CLIENT}', CLIENT),
        (f"{',' * 8000}for={CLIENT}", CLIENT),
        (f"{'x,' * 4000}for={CLIENT}", CLIENT),
        (f"for={OTHER},{'for=10.0.0.2,' * 19}for={CLIENT}", CLIENT),
        # It is too long: nobody looks that far.
        (f"for={CLIENT}{',' * 100}", None),
        (f"for={CLIENT},{chr(34) * 200}", None),
        # Nobody else is known than the last proxy.
        ("for=unknown", None),
        ("for=_hidden", None),
        ("for=unknown, for=10.0.0.2", "10.0.0.2"),
        (f"for={CLIENT}, for=_SEVKISEK, for=10.0.0.2", "10.0.0.2"),
        (f"for={CLIENT}, proto=https, for=10.0.0.2", "10.0.0.2"),
        (f"for={CLIENT};for={OTHER}", None),
        # They are malformed.
        ("", None),
        (CLIENT, None),
        ("for=", None),
        (f"for= {CLIENT}", None),
        (f"for={CLIENT}:80", None),
        (f'for="{CLIENT}', None),
        (f'for={CLIENT}"', None),
        (f'for=\\"{CLIENT}"', None),
        (f'for="{CLIENT}" x', None),
        (f"for={CLIENT} for={OTHER}", None),
        (f"for={CLIENT};=", None),
        (f"for={CLIENT}, \x01", None),
        (f'for="{V6}"', None),
        ('for="[]"', None),
        ('for="[::1"', None),
        ('for="[fe80::1%eth0]"', None),
        (f'for="{CLIENT}:123456"', None),
        (f'for="{CLIENT}:"', None),
        ('for="203.0.113.256"', None),
        ('for="203.0.113"', None),
        ('for="0203.0.113.7"', None),
        ("for=3405803783", None),
        ('for="<script>"', None),
        ('for="a\\nb"', None),
        ('for="\u0662\u0660\u0663.0.113.7"', None),
        ("for=\udcff", None),
    ],
)
def test_forwarded_is_read_as_rfc_7239_says(value: str, found: str | None) -> None:
    assert address(("Forwarded", value)) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (CLIENT, CLIENT),
        (f" {CLIENT}\t", CLIENT),
        (f"{CLIENT}:41200", CLIENT),
        (V6, V6),
        (f"[{V6}]", V6),
        (f"[{V6}]:41200", V6),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{OTHER}, {CLIENT}", CLIENT),
        (f"{OTHER},{CLIENT},10.0.0.2,2001:db8:1::9", CLIENT),
        (f"<script>, {CLIENT}", CLIENT),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("unknown, 10.0.0.2", "10.0.0.2"),
        (f"{CLIENT}, , 10.0.0.2", "10.0.0.2"),
        ("", None),
        ("unknown", None),
        ("<script>", None),
        ("localhost", None),
        ("fe80::1%eth0", None),
        ("1::2::3", None),
        (f"{CLIENT} {OTHER}", None),
        (f"'{CLIENT}'", None),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", None),
    ],
)
def test_x_forwarded_for_is_read_from_its_end(value: str, found: str | None) -> None:
    assert address(("X-Forwarded-For", value)) == found


def test_a_header_that_comes_in_several_lines_is_one_list() -> None:
    names = ("Forwarded", "X-Forwarded-For")
    for name, before in zip(names, ("for=", ""), strict=True):
        lines = [(name, f"{before}{each}") for each in (OTHER, CLIENT, "10.0.0.2")]
        assert address(*lines) == CLIENT
    assert address(("Forwarded", '"'), ("Forwarded", f"for={CLIENT}")) == CLIENT
    assert address(("Forwarded", '"'), ("Forwarded", "for=10.0.0.2")) == "10.0.0.2"
    assert address(("Forwarded", f"for={CLIENT}"), ("Forwarded", '"')) is None


@pytest.mark.parametrize(
    ("forwarded_says", "x_forwarded_for_says", "found"),
    [
        (CLIENT, CLIENT, CLIENT),
        (CLIENT, f"{CLIENT}, 10.0.0.2", CLIENT),
        (CLIENT, OTHER, None),
        ("unknown", CLIENT, None),
        (CLIENT, "unknown", None),
        (CLIENT, "", None),
        ("unknown", "unknown", None),
    ],
)
def test_if_both_headers_are_there_they_have_to_agree(
    forwarded_says: str, x_forwarded_for_says: str, found: str | None
) -> None:
    """A proxy that writes one of them may let a client write the other."""
    both = ("Forwarded", f"for={forwarded_says}"), ("X-Forwarded-For", x_forwarded_for_says)
    assert address(*both) == found


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For"])
def test_nobody_else_is_believed(name: str) -> None:
    value = f"for={CLIENT}" if name == "Forwarded" else CLIENT
    assert address((name, value), peer=OTHER) is None
    assert address((name, value), peer="10.255.0.1") == CLIENT


def test_what_a_long_header_costs_is_bounded() -> None:
    """Neither its length nor the number of its lines costs more than some milliseconds."""
    lines = [
        *(("Forwarded", "for=10.0.0.2, " * 600), ("X-Forwarded-For", "10.0.0.2," * 900)),
        *(("Forwarded", " " * 8000 + '"'), ("Forwarded", ";" * 8000 + '"')),
        *(("Forwarded", "a=b;" * 2000 + '"'), ("Forwarded", 'a="' + "\\a" * 4000)),
        ("X-Forwarded-For", ":" * 8000),
    ]
    for name, value in lines:
        taken = []
        for _ in range(5):  # a garbage collection may fall into one of them
            begun = time.thread_time()
            address(*([(name, value)] * 100))
            taken.append(time.thread_time() - begun)
        assert min(taken) < 0.2
    assert (
        address(("X-Forwarded-For", f"{CLIENT}, " + "10.0.0.2, " * 30 + "10.0.0.3")) == "10.0.0.2"
    )
    assert forwarded._MAX_PROXIES < 30


PIECES = [
    *("for=", '"', "[", "]", ":", ",", ";", " ", "\\", "=", "10.0.0.2", CLIENT, V6, "unknown"),
    *("_a", "%", "\x7f", "é", "\udc80", "::ffff:", "1", "proto=https", "FOR="),
]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_sent_what_is_found_is_an_address(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2000):
        value = "".join(chance.choices(PIECES, k=chance.randint(1, 12)))
        for name in ("Forwarded", "X-Forwarded-For"):
            found = address((name, value))
            assert found is None or str(ipaddress.ip_address(found)) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [(None, None), ("x-forwarded-for", CLIENT), ("forwarded", OTHER)],
)
async def test_the_header_that_the_proxies_do_not_write_is_not_read(
    header: forwarded.ForwardedHeader | None, found: str | None
) -> None:
    async def remote(request: web.Request) -> web.Response:
        return web.json_response(request.remote)

    app = web.Application()
    app.router.add_get("/", remote)
    runner = Runner(app, forwarded_from=["127.0.0.1"], forwarded_header=header)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    both = {"Forwarded": f"for={OTHER}", "X-Forwarded-For": CLIENT}
    async with aiohttp.ClientSession() as session, session.get(url, headers=both) as answer:
        assert await answer.json() == (found or "127.0.0.1")
    await runner.cleanup()


def test_another_header_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="x-forwarded-for"):
        Runner(web.Application(), forwarded_header="x-real-ip")  # type: ignore[arg-type]


@pytest.mark.parametrize("proxies", ["127.0.0.1", ["10.0.0.1/8"], ["proxy.example.com"]])
def test_other_proxies_than_addresses_are_refused_at_the_start(proxies: object) -> None:
    with pytest.raises(ValueError, match="proxies"):
        Runner(web.Application(), forwarded_from=proxies)  # type: ignore[arg-type]


@pytest.mark.parametrize(("proxies", "seen"), [(["127.0.0.1"], CLIENT), ((), "127.0.0.1")])
async def test_the_address_that_is_found_is_everywhere(
    validator: auth.TokenValidator, log: JsonLines, proxies: list[str], seen: str
) -> None:
    """But which proxy may send a certificate is still decided by the connection."""
    decisions = list[Decision]()
    remotes: list[str | None] = []
    sent_by: list[bool] = []

    @auth.public
    async def public(request: web.Request) -> web.Response:
        remotes.append(request.remote)
        sent_by.append(TrustedProxies([CLIENT]).sent(request))
        sent_by.append(TrustedProxies(["127.0.0.1"]).sent(request))
        return web.Response()

    app = web.Application()
    auth.setup(app, validator)
    observe(app, decisions.append)
    app.router.add_get("/", new_handler())
    app.router.add_get("/public", public)
    runner = Runner(app, forwarded_from=proxies)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connected(runner.addresses[0][1]) as connection:
        for path, status in (("/public", 200), *[("/", 401)] * 7):
            connection.send(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {CLIENT}\r\n\r\n".encode()
            )
            assert (await connection.answer()).status == status
    await runner.cleanup()
    assert remotes == [seen]
    assert sent_by == [False, True]
    assert {decision.remote for decision in decisions} == {seen}
    about = [entry for entry in log.entries if "request_id" in entry]
    assert {entry["logger"] for entry in about} == {"hello.access", "hello.auth"}
    assert {entry["peer"] for entry in about} == {seen}
    assert [entry["addresses"] for entry in log.entries if "count" in entry] == [1]
    refusals = [entry["message"] for entry in about if entry["logger"] == "hello.auth"]
    assert all(f" from={seen}" in message for message in refusals)


async def test_a_unix_socket_may_be_a_proxy_and_has_a_name(
    log: JsonLines, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    app = web.Application()

    async def remote(request: web.Request) -> web.Response:
        return web.Response(text=f"from {request.remote}.\n")

    app.router.add_get("/", remote)
    runner = Runner(app, forwarded_from=["unix"])
    await runner.setup()
    await web.UnixSite(runner, path).start()
    reader, writer = await asyncio.open_unix_connection(path)
    answers: list[str] = []
    for more in ("", f"Forwarded: for={CLIENT}\r\n"):
        writer.write(f"GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode())
        answers.append((await reader.readuntil(b".\n")).split(b"from ")[-1].decode())
    writer.close()
    await runner.cleanup()
    assert [entry["peer"] for entry in log.of("hello.access")] == ["unix", CLIENT]
    assert answers == [".\n", f"{CLIENT}.\n"]
