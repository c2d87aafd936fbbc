"""Is nothing left of live connections, as the script that measures them says?"""

import asyncio
import json
import sys

from support.pages import PROJECT

NUMBER = 50


async def test_live_connections_leave_no_task_and_no_timer() -> None:
    """And they have no more of them than other WebSockets, but for one timer together."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, PROJECT / "tests/bench/live.py", str(NUMBER)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    plain, live = json.loads(out)["plain"], json.loads(out)["live"]
    for measured in (plain, live):
        for left in ("tasks left", "timers left", "connections watched at the end"):
            assert measured[left] == 0, left
    assert live["tasks each"] == plain["tasks each"]
    assert round((live["timers each"] - plain["timers each"]) * NUMBER) == 1
