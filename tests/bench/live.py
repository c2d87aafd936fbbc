"""What does a live connection cost, and is anything left of it at the end?

    .venv/bin/python tests/bench/live.py [connections]

It opens WebSockets, 10,000 if the system allows as many files, once with `auth.live` and once
without it. Server and clients are two processes, because each connection takes a file of both.
"""

import asyncio
import gc
import json
import resource
import sys
import time
from pathlib import Path

from aiohttp import web
from joserfc.jwk import RSAKey

from hello import auth
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer

AUDIENCE, ISSUER = "https://api.example.com", "https://id.example.com/"
WANTED = 10_000
AT_ONCE = 200
SPARE_FILES = 300
PATIENCE = 60  # seconds
HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Authorization: Bearer {}\r\n\r\n"
)


def memory() -> int:
    """Return how many bytes of memory this process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


@auth.protected
async def plain(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    async for _message in socket:
        pass
    return socket


@auth.protected
async def live(request: web.Request) -> web.WebSocketResponse:
    async with auth.live(request) as socket:
        async for _message in socket:
            pass
    return socket


def timers() -> int:
    """Return how many timers of the event loop are waiting."""
    handles = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(not handle.cancelled() for handle in handles)


async def serve(kind: str, number: int) -> dict[str, float]:
    """Serve connections of a kind to another process, and measure."""
    key = RSAKey.generate_key(2048)
    issuer = Issuer(audience=AUDIENCE, url=ISSUER, key=key)
    trusted = auth.TrustedIssuer(
        issuer=ISSUER, audience=AUDIENCE, keys=json.dumps({"keys": issuer.published})
    )
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuers=[trusted]))
    app.router.add_get("/", {"plain": plain, "live": live}[kind])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    port, before, idle = runner.addresses[0][1], memory(), len(asyncio.all_tasks())
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "connect", str(port), str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    begun = time.perf_counter()
    client.stdin.write(f"{issuer.mint()}\n".encode())
    assert await client.stdout.readline() == b"open\n"
    measured = {
        "connections": number,
        "seconds to open all": round(time.perf_counter() - begun, 1),
        "bytes each": (memory() - before) // number,
        "tasks each": (len(asyncio.all_tasks()) - idle) / number,
        "timers each": round(timers() / number, 3),
    }
    begun = time.perf_counter()
    for each in tuple(watch.watch()._watched):
        each.look()
    measured["milliseconds of a look at all"] = round((time.perf_counter() - begun) * 1000, 1)
    client.stdin.close()
    await client.wait()
    async with asyncio.timeout(PATIENCE):
        while len(asyncio.all_tasks()) > idle:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0.1)
    measured["tasks left"] = len(asyncio.all_tasks()) - idle
    measured["connections watched at the end"] = len(watch.watch()._watched)
    await runner.cleanup()
    measured["timers left"] = timers()
    return measured


async def connect(port: int, number: int) -> None:
    """Open connections, and close them when standard input ends."""
    handshake = HANDSHAKE.format(sys.stdin.readline().strip()).encode()
    limit, writers = asyncio.Semaphore(AT_ONCE), list[asyncio.StreamWriter]()

    async def opened() -> None:
        async with limit:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            writer.write(handshake)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 101 "), answer

    await asyncio.gather(*(opened() for _ in range(number)))
    sys.stdout.write("open\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for writer in writers:
        writer.close()
    await asyncio.gather(*(each.wait_closed() for each in writers), return_exceptions=True)


async def measure(kind: str, number: int) -> dict[str, float]:
    """Measure one kind in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, kind, str(number)), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    measured: dict[str, float] = json.loads(out)
    return measured


def possible(wanted: int) -> int:
    """Return how many connections a process may have. The limit is raised as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most - SPARE_FILES)


def main(arguments: list[str]) -> None:
    """Measure both kinds, or be one of the processes for that."""
    if arguments[:1] == ["connect"]:
        possible(WANTED)
        asyncio.run(connect(*map(int, arguments[1:])))
    elif arguments[:1] in (["plain"], ["live"]):
        possible(WANTED)
        sys.stdout.write(json.dumps(asyncio.run(serve(arguments[0], int(arguments[1])))))
    else:
        number = possible(int(arguments[0]) if arguments else WANTED)
        both = {kind: asyncio.run(measure(kind, number)) for kind in ("plain", "live")}
        sys.stdout.write(json.dumps(both, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
