"""What happens when the provider is down, when its keys change, and when tokens are forged?"""

import asyncio
from pathlib import Path

from hello.sandbox.issuer import new_key
from incidents.serving import Provider, api
from support.api import bearer

# An outage of minutes and an hour, in seconds.
SHORT = {"JWKS_MAX_AGE": "2", "JWKS_MAX_STALE": "8", "JWKS_COOLDOWN": "1"}
_FORGED = 3_000
_AT_ONCE = 20


async def provider_is_down(folder: Path) -> str:
    """Stop the provider until the keys are too old, and start it again."""
    async with Provider.running() as provider, api(folder, provider, SHORT) as watch:
        await watch.ask("a token", provider.token())
        await watch.look("everything is well", says="started: ")
        await provider.stop()
        await watch.until_ready_says('"stale"')
        await watch.ask("a token", provider.token())
        unknown = bearer(provider.mint(key=new_key()))
        await watch.ask("a token of a key that was never seen", unknown)
        await watch.look("the provider is down, and JWKS_MAX_AGE is over", says="keys_unavailable")
        await watch.until_ready_says('"missing"')
        await watch.ask("a token", provider.token())
        await watch.ask("no token, public", path="/api/messages/public")
        await watch.look("JWKS_MAX_STALE is over")
        await provider.start()
        await watch.until_ready_says('"fresh"')
        await watch.ask("a token", provider.token())
        await watch.look("the provider is back", says="keys_recovered")
        return watch.text


async def keys_are_rotated(folder: Path) -> str:
    """Let the provider sign with a new key, and withdraw the old one."""
    async with Provider.running() as provider:
        old, new = provider.key, new_key()
        names = {str(old.kid): "<old key>", str(new.kid): "<new key>"}
        async with api(folder, provider, SHORT, names) as watch:
            before = provider.token()
            await watch.ask("a token of the old key", before)
            await watch.look(None, says="started: ")
            provider.rotate(new)
            await watch.ask("the first token of the new key", provider.token())
            await watch.ask("a token of the old key", before)
            await watch.look("the provider signs with a new key", says="keys_changed")
            provider.withdraw(old)
            await watch.until_ready_says('"stale"')
            await watch.ask("a token of the new key", provider.token())
            await watch.ask("a token of the old key", before)
            await watch.look("the provider has withdrawn the old key", says="gone '")
            return watch.text


async def tokens_are_forged(folder: Path) -> str:
    """Send forged tokens, as many as a client can, and good ones between them."""
    async with Provider.running() as provider, api(folder, provider) as watch:
        await watch.ask("a token", provider.token())
        await watch.look(None, says="started: ")
        attacker = new_key()
        forged = [
            bearer(provider.mint(key=attacker, header={"kid": provider.key.kid})),
            bearer(provider.mint(key=attacker, header={"kid": "made-up"})),
        ]

        async def attack() -> None:
            for number in range(_FORGED // _AT_ONCE):
                async with watch.session.get(watch.protected, headers=forged[number % 2]) as answer:
                    assert answer.status == 401

        async with asyncio.TaskGroup() as attackers:
            for _ in range(_AT_ONCE):
                attackers.create_task(attack())
        watch.note(f"{_FORGED} forged tokens", '401 {"message": "Bad credentials"}')
        await watch.ask("a good token", provider.token())
        await watch.look("somebody sends forged tokens", says=" more: ")
        return watch.text
