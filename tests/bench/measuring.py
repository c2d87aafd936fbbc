"""How is one number of the benchmark measured, and how is it printed?"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from bench.load import Round, paced, request, saturate
from bench.servers import PROJECT, PROTECTED, PUBLIC, api, bare, cores, started
from bench.token_sets import AUDIENCE, RS256, Algorithm, TokenSets, other_keys
from support.program import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured. `seconds` of one round, `rounds` of one cell, `tokens` seen once.

    Many short rounds: what else runs on a machine comes and goes within seconds.
    """

    seconds: float = 0.3
    rounds: int = 15
    tokens: int = 20_000
    starts: int = 5
    token_counts: Sequence[int] = (1, 100, 1_000, 5_000, 20_000)
    token_algorithm: Algorithm = RS256
    key_counts: Sequence[int] = (1, 10, 30, 100)
    route_counts: Sequence[int] = (3, 30, 300, 1_000)
    issuer_counts: Sequence[int] = (1, 10, 100, 1_000)
    token_sizes: Sequence[int] = (800, 2_048, 4_096, 7_168)

    @property
    def share(self) -> int:
        """Tokens for one round, so that none of all rounds is seen twice."""
        return max(1, self.tokens // self.rounds)


Requests = Callable[[int], Iterable[bytes]]
"""What a round sends, by the round's number."""


def in_turn(requests: Sequence[bytes]) -> Requests:
    """Begin with the first again after the last, in each round."""
    return lambda _: cycle(requests)


def always(requests: Iterable[bytes]) -> Requests:
    """Go on where the last round ended, if it is an iterator."""
    return lambda _: requests


class Cell(NamedTuple):
    """What is measured: a server, the requests of one round, and the status of every answer."""

    port: int
    requests: Requests
    status: int
    process: subprocess.Popen[bytes] | None = None


class Rounds(NamedTuple):
    """What a cell's rounds had: answers per second of each, and processor time per answer, in µs.

    The latter hardly changes when other programs want the same core. NaN: the system does not tell.
    """

    rates: list[float]
    microseconds: float


@dataclass(slots=True)
class Benchmark:
    """What is measured with; `results` by section, and what was `unexpected`, as sentences."""

    scale: Scale
    tokens: TokenSets
    folder: Path
    results: dict[str, Any] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)

    @contextmanager
    def issuing(
        self, algorithms: Sequence[Algorithm] = (RS256,), *, others: int = 0
    ) -> Iterator[None]:
        """Run the issuer, with `others` more keys in its set than it signs with."""
        keys = [*other_keys(others), *(self.tokens.key(name).jwk for name in algorithms)]
        jwks = self.folder / "jwks.json"
        jwks.write_text(json.dumps(keys))
        port = self.tokens.port
        command = [sys.executable, str(PROJECT / "tests/bench/servers.py"), "issuer", str(port)]
        with started([*command, "--jwks", str(jwks)], {}, port, core=load_core()):
            yield

    def serve(
        self,
        stack: ExitStack,
        *options: str,
        algorithm: Algorithm = RS256,
        log: Path | None = None,
        **environ: str,
    ) -> tuple[int, subprocess.Popen[bytes]]:
        """Start this API, and let it fetch its keys. Return its port and its process."""
        port = free_port()
        command, variables = api(port, self.tokens.url, AUDIENCE, **environ)
        variables["TOKEN_SIGNING_ALG"] = algorithm.name
        process = stack.enter_context(
            started([*command, *options], variables, port, core=server_core(), log=log)
        )
        self.warm(port, algorithm)
        return port, process

    def serve_watched(self, stack: ExitStack) -> tuple[int, subprocess.Popen[bytes]]:
        """Start this API with metrics and with a log that programs read, as an operator has it."""
        return self.serve(
            stack,
            log=self.folder / "watched.log",
            LOG_LEVEL="info",
            LOG_FORMAT="json",
            METRICS_PORT=str(free_port()),
        )

    def serve_bare(self, stack: ExitStack) -> tuple[int, subprocess.Popen[bytes]]:
        """Start the bare server. Return its port and its process."""
        port = free_port()
        process = stack.enter_context(started(*bare(port), port, core=server_core()))
        self.warm(port, RS256)
        return port, process

    def warm(self, port: int, algorithm: Algorithm) -> None:
        """Send what no clock measures: caches fill, keys arrive."""
        token = self.tokens.valid(algorithm, 1, size=0)[0]
        for first in [request(PROTECTED, token)] * 4, [request(PUBLIC)] * 500:
            self.load("warming up", Cell(port, always(first), 200), seconds=10)

    def see(self, name: str, cell: Cell, requests: Sequence[bytes]) -> None:
        """Send each request twice, so that what is worth remembering is remembered."""
        for _ in range(2):
            self.load(name, cell._replace(requests=always(requests)), seconds=600)

    def load(
        self, name: str, cell: Cell, number: int = 0, *, seconds: float | None = None
    ) -> Round:
        """Send one round to a server, and keep what came back otherwise than it should."""
        answers = uvloop.run(
            saturate(
                cell.port,
                cell.requests(number),
                status=cell.status,
                seconds=seconds or self.scale.seconds,
                awake=cores() is not None,
            )
        )
        self._expect(name, answers)
        return answers

    def rates(self, name: str, cells: Mapping[Any, Cell]) -> dict[Any, float]:
        """Measure cells in turn, round by round. Return the median rate of each."""
        return {key: median(found.rates) for key, found in self.rounds(name, cells).items()}

    def rounds(self, name: str, cells: Mapping[Any, Cell]) -> dict[Any, Rounds]:
        """Measure cells in turn, round by round."""
        rates: dict[Any, list[float]] = {key: [] for key in cells}
        spent, answered = dict.fromkeys(cells, 0.0), dict.fromkeys(cells, 0)
        for number in range(self.scale.rounds):
            for key, cell in cells.items():
                before = _processor_seconds(cell.process)
                answers = self.load(f"{name}, {key}", cell, number)
                spent[key] += _processor_seconds(cell.process) - before
                answered[key] += answers.answers
                rates[key].append(answers.rate)
        return {key: Rounds(rates[key], spent[key] / max(1, answered[key]) * 1e6) for key in cells}

    def pace(
        self,
        name: str,
        port: int,
        stream: Iterable[tuple[bytes, int, bool]],
        rate: float,
        seconds: float,
    ) -> Round:
        """Send requests at a rate, and keep what came back otherwise than it should."""
        answers = uvloop.run(paced(port, stream, rate=rate, seconds=seconds))
        self._expect(name, answers)
        return answers

    def once_each(
        self, algorithm: Algorithm = RS256, *, size: int = 0, issuers: int = 1
    ) -> Requests:
        """Return requests whose tokens no round has sent before."""
        share = self.scale.share
        tokens = self.tokens.valid(
            algorithm, share * self.scale.rounds, size=size, name="once", issuers=issuers
        )
        requests = [request(PROTECTED, token) for token in tokens]
        return lambda number: requests[number * share : (number + 1) * share]

    def _expect(self, name: str, answers: Round) -> None:
        if not answers.answers:
            self.unexpected.append(f"{name}: no answer at all")
        for status, count in answers.unexpected.items():
            what = f"status {status}" if status else "a broken connection"
            self.unexpected.append(f"{name}: {count} of {answers.answers} had {what}")


def _processor_seconds(process: subprocess.Popen[bytes] | None) -> float:
    """Return how long a process has been on a processor, in steps of a tick."""
    stat = Path(f"/proc/{process.pid if process else 0}/stat")
    if not stat.exists():
        return nan
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def heading(title: str, *columns: str) -> None:
    print(f"\n{title:48}" + "".join(f"{column:>14}" for column in columns), flush=True)


def row(name: str, *values: str) -> None:
    print(f"  {name:46}" + "".join(f"{value:>14}" for value in values), flush=True)


def server_core() -> int | None:
    pinned = cores()
    return None if pinned is None else pinned[0]


def load_core() -> int | None:
    pinned = cores()
    return None if pinned is None else pinned[1]
