"""What happens when the clock of a machine is wrong, Redis is down, or a disk is full?"""

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

from incidents.serving import Provider, api
from incidents.watching import Watch
from support.proofs import bound_to, proof
from support.redis_server import RedisServer

_HOUR = 3600

# What Python runs before anything else. The clock of the machine itself is needed by others.
_WRONG_CLOCK = "import time; now = time.time; time.time = lambda: now() + {seconds}\n"


async def clock_is_off(folder: Path) -> str:
    """Run the API with a clock that is an hour behind, and an hour ahead."""
    texts = []
    async with Provider.running() as provider:
        for name, seconds in (("behind", -_HOUR), ("ahead of", _HOUR)):
            own = folder.with_name(f"{folder.name}-{name[:6]}")
            own.mkdir()
            (own / "sitecustomize.py").write_text(_WRONG_CLOCK.format(seconds=seconds))
            path = f"{own}:{Path(__file__).parents[2]}"
            async with api(own, provider, {"PYTHONPATH": path}) as watch:
                await watch.look(None, says="started: ")
                await watch.ask("a new token", provider.token())
                watch.note("the header Date of the answer", await _difference(watch))
                await watch.look(f"the clock of this machine is an hour {name} the provider's")
                texts.append(watch.text)
    return "\n".join(texts)


async def _difference(watch: Watch) -> str:
    """How far the time in an answer is from this clock, in whole hours."""
    async with watch.session.get(f"{watch.url}/livez") as answer:
        hours = round(
            (parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()) / _HOUR
        )
    return f"{abs(hours)} hour {'behind' if hours < 0 else 'ahead'}"


async def redis_is_down(folder: Path) -> str:
    """End the Redis server that remembers proofs, and start it again."""
    redis = RedisServer(folder.with_name("redis"))
    redis.start()
    try:
        return await _with_redis(folder, redis)
    finally:
        redis.kill()


async def _with_redis(folder: Path, redis: RedisServer) -> str:
    names = {f"127.0.0.1:{redis.port}": "<redis>"}
    environ = {"REDIS_URL": redis.url}
    async with Provider.running() as provider, api(folder, provider, environ, names) as watch:
        token = provider.mint(claims=bound_to())

        def bound() -> dict[str, str]:
            made = proof(token, now=time.time(), url=watch.protected)
            return {"Authorization": f"DPoP {token}", "DPoP": made}

        await watch.ask("a bound token", bound())
        await watch.look(None, says="started: ")
        redis.kill()
        await watch.ask("a bound token", bound())
        await watch.ask("a bearer token", provider.token())
        await watch.look("Redis is down", says="replay_unavailable: ")
        redis.start()
        await watch.ask("a bound token", bound())
        await watch.look("Redis is back")
        while "replay_recovered" not in watch.program.err:
            await watch.ask("a bound token", bound())
            await watch.pause(1)
        await watch.look("no request has failed for some seconds", counts=False)
        return watch.text


async def disk_is_full_for_the_audit(folder: Path) -> str:
    """Let the audit's file lead to a disk that is full, and back."""
    audit, kept = folder.with_name("audit.jsonl"), folder.with_name("kept.jsonl")
    audit.symlink_to(kept)
    environ, names = {"AUDIT_FILE": str(audit)}, {str(audit): "<audit file>"}
    async with Provider.running() as provider, api(folder, provider, environ, names) as watch:
        await watch.ask("a token", provider.token())
        await watch.until_counted('hello_auth_audit_decisions_total{result="recorded"} 1.0')
        await watch.look(None, says="started: ")
        for target, what in (("/dev/full", "the disk is full"), (kept, "there is room again")):
            audit.unlink()
            audit.symlink_to(target)
            await watch.ask("a token", provider.token())
            await watch.look(what, says="audit_failed: ")
        return watch.text


async def disk_is_full_for_the_log(folder: Path) -> str:
    """Write the log to a disk that is full."""
    async with Provider.running() as provider, api(folder, provider, stderr="/dev/full") as watch:
        await watch.ask("a token", provider.token())
        await watch.look("the disk is full", logs=False, counts=False)
        return watch.text
