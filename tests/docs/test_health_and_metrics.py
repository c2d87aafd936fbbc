"""Do the recipes of hello/docs/health-and-metrics.md work: probes, systemd, nginx, Prometheus?"""

import json
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from aiohttp import web
from joserfc.jwk import Key
from prometheus_client import CollectorRegistry

from hello import auth
from hello.auth import TokenValidator
from hello.operating import health, metrics
from support.api import AUDIENCE, ApiServer, Client
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.machine import GUNICORN, Machine, command, lacks, settings
from support.machine import PAGE as DEPLOYING
from support.nginx import NEEDS_NGINX, SITE, serving
from support.pages import example, rows_by_id
from support.program import PROTECTED, PUBLIC, free_port, get, running
from support.validators import presented, reason_for

PAGE = "hello/docs/health-and-metrics.md"
FOLDER = "/tmp/hello-api-metrics"
READY = rows_by_id(PAGE, "ready")


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.mark.parametrize("case", READY)
async def test_ready_says_what_the_table_says(
    issuer: FailingIssuer,
    clock: FakeClock,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    case: str,
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    app = web.Application()
    auth.setup(app, validator)
    health.setup(app)
    client = await aiohttp_client(ApiServer(app))
    if case in ("fresh", "stale"):
        await validator.validate(presented(issuer.mint()))
    match case:
        case "stale":
            clock.advance(600)
        case "missing":
            await issuer.stop()
            assert await reason_for(validator, issuer.mint()) is auth.Reason.KEYS_UNAVAILABLE
        case "draining":
            await app.shutdown()
        case "not-asked" | "fresh":
            pass
        case _:
            pytest.fail("nobody knows how to try this")
    async with client.get("/readyz") as response:
        said = await response.json()
        assert [str(response.status), f"`{json.dumps(said)}`"] == READY[case][1:]


@pytest.mark.parametrize("name", ["own-health", "own-metrics"])
async def test_it_is_one_call_in_an_application_of_ones_own(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    port, names = free_port(), dict[str, Any]()
    defaults = {**(metrics.setup.__kwdefaults__ or {}), "registry": CollectorRegistry()}
    monkeypatch.setattr(metrics.setup, "__kwdefaults__", defaults)
    exec(example(PAGE, name).replace("9100", str(port)), names)
    client = await aiohttp_client(ApiServer(names["app"]))
    if name == "own-health":
        for path in ("/livez", "/readyz"):
            async with client.get(path) as response:
                assert response.status == 200
    else:
        async with client.session.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert "hello_auth_ready 1.0" in await response.text()


async def test_kubernetes_asks_what_there_is(api: Client) -> None:
    probes = example(PAGE, "kubernetes")
    asked = re.findall(
        r"^(\w+)Probe:\n  httpGet: {path: (\S+), port: (\d+)}$", probes, re.MULTILINE
    )
    assert asked == [("liveness", "/livez", "6060"), ("readiness", "/readyz", "6060")]
    for _, path, _ in asked:
        async with api.get(path) as response:
            assert response.status == 200


# --- systemd -------------------------------------------------------------------------------------


@pytest.mark.skipif(lacks("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_understands_the_drop_in(tmp_path: Path) -> None:
    unit = tmp_path / "hello-api.service"
    drop_in = tmp_path / "hello-api.service.d/health.conf"
    drop_in.parent.mkdir()
    for path, code in (
        (unit, example(DEPLOYING, "unit")),
        (drop_in, example(PAGE, "drop-in")),
    ):
        path.write_text(code.replace("/opt/hello-api/bin/gunicorn", str(GUNICORN)))
    for code, complains in ((drop_in.read_text(), False), ("[Service]\nRuntimeFolder=x\n", True)):
        drop_in.write_text(code)
        ran = subprocess.run(
            ["systemd-analyze", "verify", str(unit)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = [line for line in ran.stderr.splitlines() if "hello-api" in line]
        assert bool(lines) is complains, lines
        assert ran.returncode == 0


@pytest.mark.skipif(lacks("curl"), reason="there is no curl")
def test_the_drop_in_starts_waits_and_has_metrics(tmp_path: Path) -> None:
    """What systemd does with it: make the folder, start the service, and run what comes after."""
    machine, metrics_port = Machine(tmp_path), free_port()
    code = example(PAGE, "drop-in").replace("\\\n", "").replace("6060", str(machine.port))
    code = code.replace("9100", str(metrics_port)).replace("/run/hello-api", f"{tmp_path}/run")
    directives = dict(re.findall(r"^(\w+)=(.+)$", code, re.MULTILINE))
    (tmp_path / directives["RuntimeDirectory"].replace("hello-api", "run")).mkdir()
    variables = dict(each.split("=", 1) for each in directives["Environment"].split())
    environ = {**settings(), **machine.environ, **variables}
    start = command(GUNICORN, *shlex.split(directives["ExecStart"])[1:])
    after = shlex.split(directives["ExecStartPost"])
    with running(start, machine.checkout, environ) as program:
        assert subprocess.run(after, check=False, timeout=60).returncode == 0
        assert get(machine.port, PUBLIC).status == 200
        program.listens(metrics_port)
        assert b"hello_auth_ready" in urlopen(f"http://127.0.0.1:{metrics_port}/metrics").read()
    after[after.index("10")] = "0"  # no further attempts
    assert subprocess.run(after, check=False, capture_output=True, timeout=60).returncode != 0


# --- nginx ---------------------------------------------------------------------------------------


@NEEDS_NGINX
@pytest.mark.parametrize(("allowed", "status"), [("127.0.0.0/8", 200), ("10.0.0.7", 403)])
async def test_nginx_passes_health_on_to_whom_it_allows_and_logs_none_of_it(
    tmp_path: Path, api: Client, allowed: str, status: int
) -> None:
    location = example(PAGE, "nginx-health").replace("127.0.0.0/8", allowed)
    site = SITE.replace("    location / {", f"{location}\n    location / {{")
    assert site != SITE
    async with serving(tmp_path, api, site) as there:
        for path in ("/livez", "/readyz"):
            answer = await there.get(path)
            assert answer.status == status
            assert ("json" in answer.headers["Content-Type"]) is (status == 200)
        assert (await there.get("/readyz/x")).status == 404
        await api.close()
        if status == 200:
            assert (await there.get("/readyz")).status == 502
        there.program.until(lambda: len(there.log) > 0)
        assert not any(" /livez " in line or " /readyz " in line for line in there.log)


# --- Metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run-metrics", "gunicorn-metrics"])
def test_a_command_serves_metrics_beside_the_api(tmp_path: Path, name: str) -> None:
    machine, port, folder = Machine(tmp_path), free_port(), tmp_path / "numbers"
    folder.mkdir()
    (folder / "counter_1.db").write_text("of the last time")
    code = example(PAGE, name).replace("9100", str(port)).replace(FOLDER, str(folder))
    with running(machine.script(code), machine.checkout, machine.environ) as program:
        program.listens(port)
        program.listens(machine.port)
        assert get(machine.port, PROTECTED).status == 401
        text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        assert 'hello_auth_refusals_total{reason="no_credentials"} 1.0' in text
    if name == "run-metrics":
        assert machine.calls == ["pip install -e .[metrics]"]
    else:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not (folder / "counter_1.db").exists()
    assert "Traceback" not in program.err


def test_the_examples_are_of_one_port() -> None:
    assert 'targets: ["127.0.0.1:9100"]' in example(PAGE, "scrape")
    for name in ("run-metrics", "gunicorn-metrics", "drop-in"):
        assert "METRICS_PORT=9100" in example(PAGE, name)
