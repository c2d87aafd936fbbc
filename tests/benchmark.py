"""What does protection cost, and what changes that?

    .venv/bin/python tests/benchmark.py [--quick] [--plot curves.svg] [--json results.json]

This API, run as in production, answers over real connections on this machine, next to a bare
aiohttp server with the same headers: the machine's speed cancels out of their ratio. Rounds of
both alternate, so that what disturbs one disturbs the other, and the median of each counts. The
server has one core, the load another. Other work on the machine spoils the numbers.
"""

import argparse
import base64
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench.load import request
from bench.measuring import (
    Benchmark,
    Cell,
    Requests,
    Scale,
    always,
    heading,
    in_turn,
    load_core,
    row,
    server_core,
)
from bench.plot import Curve, svg
from bench.servers import PROJECT, PROTECTED, PUBLIC, api, bare, pin_to, started
from bench.token_sets import AUDIENCE, ES256, PS512_4096, RS256, RS256_4096, TokenSets
from support.program import free_port

_WATCHED = "one token, with metrics and JSON logs"
_FORGED_OF_TEN = 9
_LOAD_OF_CAPACITY = 0.5  # beyond it, what is measured is the queue


QUICK = Scale(
    seconds=0.2,
    rounds=5,
    tokens=6_000,
    starts=3,
    token_counts=(1, 1_000, 6_000),
    key_counts=(1, 100),
    issuer_counts=(1, 1_000),
    route_counts=(3, 1_000),
    token_sizes=(800, 7_168),
)
# A million RSA signatures would take minutes; this curve's shape does not depend on the algorithm.
FULL = Scale(token_counts=(1, 100, 10_000, 100_000, 1_000_000), token_algorithm=ES256)


def ratios(bench: Benchmark) -> None:
    """Compare with a server that asks for nothing, request for request."""
    scale, tokens = bench.scale, bench.tokens
    valid = [request(PROTECTED, token) for token in tokens.valid(RS256, min(2_000, scale.tokens))]
    forged = [request(PROTECTED, token) for token in tokens.forged(RS256, min(2_000, scale.tokens))]
    scenarios: dict[str, tuple[Requests, int]] = {
        "public": (in_turn([request(PUBLIC)]), 200),
        "one token, over and over": (in_turn(valid[:1]), 200),
        f"{len(valid):,} tokens in turn": (in_turn(valid), 200),
        f"{scale.tokens:,} tokens, once each": (bench.once_each(), 200),
        "forged signatures": (in_turn(forged), 401),
        "no token": (in_turn([request(PROTECTED)]), 401),
        _WATCHED: (in_turn(valid[:1]), 200),
    }
    heading(
        "Requests per second, one core",
        *("this API", "bare aiohttp", "ratio"),
        "µs of CPU",
        "bare's",
    )
    found = bench.results["ratios"] = {}
    with bench.issuing(), ExitStack() as stack:
        plain, watched = bench.serve(stack), bench.serve_watched(stack)
        bare_port, bare_process = bench.serve_bare(stack)
        for name, (requests, status) in scenarios.items():
            port, process = watched if name == _WATCHED else plain
            cells = {
                "bare": Cell(bare_port, requests, 200, bare_process),
                "api": Cell(port, requests, status, process),
            }
            if name.endswith("in turn"):
                bench.see(name, cells["api"], valid)
            rounds = bench.rounds(name, cells)
            ours, theirs = rounds["api"], rounds["bare"]
            # Of what was measured side by side, so that both had the same machine.
            ratio = median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))
            found[name] = {
                "api": median(ours.rates),
                "bare": median(theirs.rates),
                "ratio": ratio,
                "api µs": ours.microseconds,
                "bare µs": theirs.microseconds,
            }
            row(
                name,
                *(f"{median(one.rates):,.0f}" for one in (ours, theirs)),
                f"{ratio:.2f}",
                *(f"{one.microseconds:.0f}" for one in (ours, theirs)),
            )


def limit(bench: Benchmark) -> None:
    """Compare a token's full check with what it cannot be faster than. Wants `ratios`."""
    key = bench.tokens.key(RS256).private.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signing_input, _, signature = bench.tokens.valid(RS256, 1)[0].rpartition(".")
    data, raw = signing_input.encode("ascii"), base64.urlsafe_b64decode(f"{signature}==")
    pkcs1, sha256 = padding.PKCS1v15(), hashes.SHA256()
    verified = _best_microseconds(lambda: key.verify(raw, data, pkcs1, sha256))
    once = f"{bench.scale.tokens:,} tokens, once each"
    each = {name: 1e6 / bench.results["ratios"][once][name] for name in ("api", "bare")}
    heading("The limit: microseconds per request", "µs")
    row("OpenSSL's verification alone, RS256/2048", f"{verified:.1f}")
    row("bare aiohttp's answer", f"{each['bare']:.1f}")
    row("both: the limit", f"{verified + each['bare']:.1f}")
    row("this API, a token's full check", f"{each['api']:.1f}")
    bench.results["limit"] = {"verification": verified, **each}


def distinct_tokens(bench: Benchmark) -> Curve:
    """Vary how many tokens take turns; each was sent twice before the clock starts."""
    algorithm, scale = bench.scale.token_algorithm, bench.scale

    def endless(count: int) -> Iterator[bytes]:
        while True:
            for token in bench.tokens.each(algorithm, count):
                yield request(PROTECTED, token)

    with bench.issuing([algorithm]), ExitStack() as stack:
        cells, processes = {}, {}
        for count in scale.token_counts:
            port, processes[count] = bench.serve(stack, algorithm=algorithm)
            source = endless(count)
            all_twice = islice(source, 2 * count)
            bench.load(f"{count} tokens", Cell(port, always(all_twice), 200), seconds=600)
            cells[count] = Cell(port, always(source), 200)
        rates = bench.rates("distinct tokens", cells)
        memory = {count: _megabytes(process) for count, process in processes.items()}
    return _curve(bench, f"different tokens ({algorithm})", rates, "MiB", memory)


def keys_in_set(bench: Benchmark) -> Curve:
    """Vary how many keys the issuer publishes; each token is seen once."""
    cells = {}
    with ExitStack() as stack:
        for count in bench.scale.key_counts:
            with bench.issuing(others=count - 1):  # its keys outlive it
                port, _ = bench.serve(stack)
            cells[count] = Cell(port, bench.once_each(), 200)
        return _curve(bench, "keys in the issuer's set", bench.rates("keys", cells))


def routes(bench: Benchmark) -> Curve:
    """Vary how many routes there are; the one that is asked stands among them."""
    requests = [request(PROTECTED, bench.tokens.valid(RS256, 1)[0])]
    cells = {}
    with bench.issuing(), ExitStack() as stack:
        for count in bench.scale.route_counts:
            port, _ = bench.serve(stack, "--routes", str(count - 3))
            cells[count] = Cell(port, in_turn(requests), 200)
        return _curve(bench, "routes", bench.rates("routes", cells))


def issuers(bench: Benchmark) -> Curve:
    """Vary how many issuers are trusted, whose tokens take turns; each is seen once."""
    cells = {}
    with bench.issuing(), ExitStack() as stack:
        for count in bench.scale.issuer_counts:
            port, _ = bench.serve(stack, "--issuers", str(count))
            one_of_each = bench.tokens.valid(RS256, count, name="warm", issuers=count)
            bench.load(  # the keys of each arrive
                f"{count} issuers",
                Cell(port, always([request(PROTECTED, token) for token in one_of_each]), 200),
                seconds=600,
            )
            cells[count] = Cell(port, bench.once_each(issuers=count), 200)
        return _curve(bench, "trusted issuers", bench.rates("issuers", cells))


def token_size(bench: Benchmark) -> Curve:
    """Vary how much a token says; each is seen once. Beyond 8,190 bytes a header is refused."""
    with bench.issuing(), ExitStack() as stack:
        port, _ = bench.serve(stack)
        cells = {
            size: Cell(port, bench.once_each(size=size), 200) for size in bench.scale.token_sizes
        }
        return _curve(bench, "characters in a token", bench.rates("token size", cells))


CURVES = (distinct_tokens, keys_in_set, issuers, routes, token_size)


def latency(bench: Benchmark) -> None:
    """Ask how long valid requests wait, alone and in a stream of forged ones: an open loop.

    Both streams have the same rate, half of what the server can do if most tokens are forged.
    """
    heading("Milliseconds until a valid answer", "forged", "rate", "p50", "p99")
    found = bench.results["latency"] = {}
    for algorithm in (RS256, RS256_4096, PS512_4096):
        count = min(500, bench.scale.tokens)
        valid = [request(PROTECTED, token) for token in bench.tokens.valid(algorithm, count)]
        forged = [request(PROTECTED, token) for token in bench.tokens.forged(algorithm, count)]
        with bench.issuing([algorithm]), ExitStack() as stack:
            port, _ = bench.serve(stack, algorithm=algorithm)
            name = str(algorithm)
            capacity = Cell(port, in_turn(forged), 401)
            rate = bench.load(f"capacity, {name}", capacity).rate * _LOAD_OF_CAPACITY
            streams = {of_ten: _mixed(valid, forged, of_ten) for of_ten in (0, _FORGED_OF_TEN)}
            waited: dict[int, list[Sequence[float]]] = {of_ten: [] for of_ten in streams}
            for _ in range(bench.scale.rounds):
                for of_ten, stream in streams.items():
                    # As many valid ones in both, as far as time allows: a hundredth of few is
                    # the slowest of them, whatever the reason.
                    seconds = bench.scale.seconds * (1 if of_ten == 0 else 5)
                    answers = bench.pace(f"latency, {name}", port, stream, rate, seconds)
                    waited[of_ten].append(answers.latencies)
            for of_ten, rounds in waited.items():
                p50, p99 = (median(_percentile(one, n) for one in rounds) for n in (50, 99))
                found[f"{name}, {of_ten}0 % forged"] = {"rate": rate, "p50": p50, "p99": p99}
                row(name, f"{of_ten * 10} %", f"{rate:,.0f}/s", f"{p50:.2f}", f"{p99:.2f}")


def start(bench: Benchmark) -> None:
    """Ask how long it takes from a process' start to its first answer. Keys are not fetched yet."""
    heading("Milliseconds until the first answer", "this API", "bare aiohttp", "ratio")
    taken: dict[str, list[float]] = {"api": [], "bare": []}
    for _ in range(bench.scale.starts):
        for name, times in taken.items():
            port = free_port()
            command = api(port, bench.tokens.url, AUDIENCE) if name == "api" else bare(port)
            began = time.perf_counter()
            with started(*command, port, core=server_core()):
                first = [request(PUBLIC)]
                bench.load("start", Cell(port, always(first), 200))
                times.append((time.perf_counter() - began) * 1000)
    medians = {name: median(times) for name, times in taken.items()}
    ratio = medians["api"] / medians["bare"]
    bench.results["start"] = medians
    row("start", f"{medians['api']:.0f}", f"{medians['bare']:.0f}", f"{ratio:.2f}")


def access_log(bench: Benchmark) -> None:
    """Compare LOG_LEVEL=info, into a file, with LOG_LEVEL=warning."""
    requests = [request(PROTECTED, bench.tokens.valid(RS256, 1)[0])]
    cells = {}
    with bench.issuing(), ExitStack() as stack:
        for level in ("warning", "info"):
            log = bench.folder / f"{level}.log"
            port, _ = bench.serve(stack, log=log, LOG_LEVEL=level)
            cells[level] = Cell(port, in_turn(requests), 200)
        rates = bench.rates("access log", cells)
    heading("The access log: one token, over and over", "requests/s", "µs")
    for level, rate in rates.items():
        row(f"LOG_LEVEL={level}", f"{rate:,.0f}", f"{1e6 / rate:.1f}")
    bench.results["access log"] = rates


def workers(bench: Benchmark) -> None:
    """Compare gunicorn's workers. They share all cores with the load, which costs the second."""
    requests = [request(PROTECTED, bench.tokens.valid(RS256, 1)[0])]
    cells = {}
    with bench.issuing(), ExitStack() as stack:
        for count in (1, 2):
            port = free_port()
            _, environ = api(port, bench.tokens.url, AUDIENCE, PYTHONPATH=str(PROJECT))
            command = [
                *(sys.executable, "-m", "gunicorn", "hello.server:production"),
                *("--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
                *("--workers", str(count), "--bind", f"127.0.0.1:{port}"),
            ]
            stack.enter_context(started(command, environ, port, core=None))
            bench.warm(port, RS256)
            cells[count] = Cell(port, in_turn(requests), 200)
        rates = bench.rates("workers", cells)
    heading("gunicorn, on all cores: one token, over and over", "requests/s")
    for count, rate in rates.items():
        row(f"{count} worker{'s' * (count > 1)}", f"{rate:,.0f}")
    bench.results["workers"] = rates


def _curve(
    bench: Benchmark,
    title: str,
    rates: Mapping[int, float],
    also: str = "",
    values: Mapping[int, float] | None = None,
) -> Curve:
    heading(f"Requests per second by {title}", "requests/s", *([also] if also else []))
    for x, rate in rates.items():
        row(f"{x:,}", f"{rate:,.0f}", *([f"{values[x]:.0f}"] if values else []))
    found = {"requests/s": rates} | ({also: values} if values else {})
    bench.results.setdefault("curves", {})[title] = found
    return Curve(title, tuple(rates.items()))


def _mixed(
    valid: Sequence[bytes], forged: Sequence[bytes], forged_of_ten: int
) -> Iterator[tuple[bytes, int, bool]]:
    chance = random.Random(7)  # the same order in each run
    goods, bads = cycle(valid), cycle(forged)
    while True:
        if chance.randrange(10) < forged_of_ten:
            yield next(bads), 401, False
        else:
            yield next(goods), 200, True


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """Return it in milliseconds; NaN where there is nothing to count."""
    if not seconds:
        return float("nan")
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] * 1000


def _best_microseconds(call: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        for _ in range(500):
            call()
        return (time.perf_counter() - began) / 500 * 1e6

    return min(once() for _ in range(5))


def _megabytes(process: subprocess.Popen[bytes]) -> float:
    """Return the memory that a process has, where the system tells."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Return 1 where an answer was not what it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute")
    parser.add_argument("--full", action="store_true", help="up to a million different tokens")
    parser.add_argument("--plot", type=Path, help="where to draw the curves, as SVG")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--seconds", type=float, help="of one round")
    parser.add_argument("--rounds", type=int, help="of each cell")
    parser.add_argument("--tokens", type=int, help="that are seen once each, in all rounds")
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else FULL if options.full else Scale()
    for name in ("seconds", "rounds", "tokens"):
        if getattr(options, name) is not None:
            scale = replace(scale, **{name: getattr(options, name)})
    if options.tokens is not None:
        counts = tuple(count for count in scale.token_counts if count <= options.tokens)
        scale = replace(scale, token_counts=counts)
    with tempfile.TemporaryDirectory() as folder:
        bench = Benchmark(scale, TokenSets(), Path(folder))
        pin_to(load_core())
        try:
            ratios(bench)
            limit(bench)
            curves = [measure(bench) for measure in CURVES]
            latency(bench)
            start(bench)
            access_log(bench)
            workers(bench)
        finally:
            pin_to(None)
    if options.plot is not None:
        options.plot.write_text(svg(curves), encoding="utf-8")
    if options.json is not None:
        options.json.write_text(json.dumps(bench.results, indent=2), encoding="utf-8")
    for problem in bench.unexpected:
        print(f"UNEXPECTED: {problem}")
    return 1 if bench.unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
