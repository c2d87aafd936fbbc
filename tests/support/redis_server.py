"""A real redis-server on a port of its own, which can be killed and started again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from support.machine import command
from support.program import Program, free_port


class RedisServer:
    """A server that writes nothing to the disk, unless its configuration says so."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.socket = folder / "redis.sock"
        self.url = f"redis://127.0.0.1:{self.port}"
        self._program: Program | None = None

    def start(self, *configuration: str) -> None:
        """Start it, with the path of a configuration file if there is one."""
        options = f"--port {self.port} --bind 127.0.0.1 --unixsocket {self.socket} --save".split()
        program = command("redis-server", *configuration, *options, "")
        self._program = Program(program, self._folder, {})
        self._program.says("Ready to accept connections")  # when it has read its files

    def kill(self) -> None:
        if self._program is not None:
            self._program.close()
            self._program = None

    def ask(self, *words: str, **options: Any) -> Any:
        """The answer to a command."""
        with redis.Redis.from_url(self.url, protocol=2, **options) as client:
            return client.execute_command(*words)

    def calls(self) -> dict[str, int]:
        """How often each command was called, without those that introduce a client and this one."""
        stats = self.ask("INFO", "commandstats")
        calls = {name.removeprefix("cmdstat_"): of["calls"] for name, of in stats.items()}
        return {name: calls[name] for name in calls.keys() - {"client|setinfo", "info"}}


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that runs."""
    if shutil.which("redis-server") is None and os.environ.get("CI") != "true":
        pytest.skip("there is no redis-server: apt-get install redis-server")
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()
