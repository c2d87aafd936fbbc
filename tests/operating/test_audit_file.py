"""How are decisions kept in a file, and what if the disk is full?"""

import errno
import json
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hello import auth
from hello.app import create_app
from hello.operating.audit_file import AuditFile
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer, config_for


def decision(at: float = 0) -> auth.Decision:
    return auth.Decision(
        at=at,
        method="GET",
        route="/",
        remote="-",
        request_id=None,
        requirements=(),
        refusal=None,
        seconds=0,
        subject="\ud800\n",
        issuer=None,
        client_id=None,
        token_id=None,
    )


def test_each_decision_is_a_line_wherever_the_file_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    keep = AuditFile(str(path))
    keep(decision(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keep(decision(2))
    path.rename(tmp_path / "moved")
    keep(decision(3))
    lines = (tmp_path / "moved").read_text().splitlines() + path.read_text().splitlines()
    assert [json.loads(line)["at"] for line in lines] == [
        f"1970-01-01T00:00:0{number}.000Z" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("by_another_process", [False, True])
def test_a_full_disk_is_told_and_a_torn_line_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_another_process: bool
) -> None:
    path, write = tmp_path / "audit.jsonl", os.write
    keep = AuditFile(str(path))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:20]))
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            keep(decision(1))
    if by_another_process:
        keep = AuditFile(str(path))
    keep(decision(2))
    keep(decision(3))
    torn, *others = path.read_text().splitlines()
    assert len(torn) == 20
    assert [json.loads(line)["at"][17:19] for line in others] == ["02", "03"]


def test_a_disk_that_takes_nothing_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as raised:
        AuditFile("/dev/full")(decision())
    assert "/dev/full" in str(raised.value)


@pytest.mark.parametrize("asked", [True, False])
async def test_the_api_keeps_decisions_if_it_is_asked_to(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    tmp_path: Path,
    *,
    asked: bool,
) -> None:
    path = tmp_path / "audit.jsonl"
    environ = {"AUDIT_FILE": str(path)} if asked else {}
    client = await aiohttp_client(ApiServer(create_app(config_for(issuer, **environ))))
    for headers in ({}, bearer(issuer.mint())):
        async with client.get("/api/messages/protected", headers=headers) as response:
            await response.read()
    await client.close()
    lines = path.read_text().splitlines() if asked else []
    outcomes = ["no_credentials", "allowed"] if asked else []
    assert [json.loads(line)["outcome"] for line in lines] == outcomes
