"""What does the log say at the start: what is accepted, and what is switched on?"""

import logging
from collections.abc import Collection
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from hello.auth import TokenValidator
from hello.auth.protection import arguments_of
from hello.logs.json_lines import TAKEN

from .watched import protected_applications, token_validators

_logger = logging.getLogger("hello")
_MAX_NAMES = 5
_FACTS = {
    *("version", "issuer", "audience", "algorithms", "introspection", "public_url"),
    *("dpop", "proofs_in", "fail_open", "nonces"),
}


def log_start(app: web.Application, **settings: str | Collection[str] | None) -> None:
    """Have a line logged when an application starts, for each TokenValidator in it.

    `settings` are what else the line says: a name, and a text, a list of texts, or None for what is
    not set. Call it before the application starts. Raises ValueError for a name that is taken.
    """
    taken = sorted(settings.keys() & (TAKEN | _FACTS))
    if taken:
        raise ValueError(f"these names have a meaning of their own in the log: {', '.join(taken)}")
    app.on_startup.append(partial(_log, settings=settings))


async def _log(app: web.Application, *, settings: dict[str, str | Collection[str] | None]) -> None:
    for validator in token_validators(app):
        facts = {"version": _version(), **_facts(validator), "public_url": _public_urls(app)}
        facts |= {name: _shown(value) for name, value in settings.items()}
        said = " ".join(f"{name}={value}" for name, value in facts.items())
        _logger.info("started: %s", said, extra=facts)


def _facts(validator: TokenValidator) -> dict[str, Any]:
    """Return what a validator accepts. The issuers of a resolver are known to nobody else."""
    listed, dpop = validator.issuers.listed, validator.dpop
    facts = {
        "issuer": _shown({each.issuer for each in listed}) if listed else "resolver",
        "audience": _shown({name for each in listed for name in each.audience}),
        "algorithms": _shown({name for each in listed for name in each.algorithms}),
        "introspection": "off" if validator.introspected is None else "on",
        "dpop": "off" if dpop is None else "required" if dpop.required else "allowed",
    }
    if dpop is not None:
        facts["proofs_in"] = type(dpop.replay).__name__
        facts["fail_open"] = str(dpop.fail_open).lower()
        facts["nonces"] = "off" if dpop.nonces is None else "on"
    return facts


def _public_urls(app: web.Application) -> str:
    """Return under which addresses clients are said to see an application and its parts."""
    urls = {arguments_of(each).public_url for each in protected_applications(app)}
    return _shown({url for url in urls if url is not None})


def _shown(names: str | Collection[str] | None) -> str:
    if not names:
        return "none"
    if isinstance(names, str):
        return names
    shown = ",".join(sorted(names)[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more"


def _version() -> str:
    try:
        return version("hello-aiohttp")
    except PackageNotFoundError:  # it runs from a copy of its files
        return "unknown"
