"""A walk through the sandbox by somebody who binds the tokens to the browser (RFC 9449)."""

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from hello.tokens.jwt.compact import parse
from hello.tokens.possession.proof import thumbprint_of
from support.logging_in import ROBIN
from support.sandbox_walk import Walk

if TYPE_CHECKING:
    from playwright.async_api import Request


class Sent(NamedTuple):
    """A request to the API, as it left the browser."""

    scheme: str
    token: str
    proof: str | None

    @property
    def key(self) -> str:
        """The thumbprint of the key that signed the proof."""
        assert self.proof is not None
        return thumbprint_of(parse(self.proof).header["jwk"])

    @property
    def bound_to(self) -> Any:
        """What the token is bound to."""
        return parse(self.token).claims.get("cnf")


async def sent(request: "Request") -> Sent:
    headers = await request.all_headers()
    scheme, _, token = headers["authorization"].partition(" ")
    return Sent(scheme, token, headers.get("dpop"))


class Requests:
    """The requests of a page from now on, without preflights, by the end of their addresses."""

    def __init__(self, walk: Walk) -> None:
        self._all: list[Request] = []
        walk.page.on("request", self._note)

    def _note(self, request: "Request") -> None:
        self._all.append(request)

    def to(self, end: str) -> list["Request"]:
        return [one for one in self._all if urlsplit(one.url).path.endswith(end)]

    async def proofs(self, end: str) -> list[str | None]:
        return [(await one.all_headers()).get("dpop") for one in self.to(end)]

    async def last(self, end: str = "/protected") -> Sent:
        return await sent(self.to(f"/api/messages{end}")[-1])


async def switch(walk: Walk) -> None:
    await walk.page.locator("#binding-switch").click()


async def state(walk: Walk, expected: str) -> None:
    await walk.page.locator(f'#binding-state[data-state="{expected}"]').wait_for()


async def bound(walk: Walk, person: str = ROBIN) -> Requests:
    """Switch the binding on, log in, and read the protected message."""
    requests = Requests(walk)
    await walk.open()
    await switch(walk)
    await state(walk, "wanted")
    await walk.go("/protected")
    await walk.choose(person)
    assert await walk.message() == await walk.api_says("/protected")
    await state(walk, "bound")
    return requests
