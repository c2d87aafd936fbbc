"""How is the sandbox's issuer switched off, as if it were down?"""

from typing import TYPE_CHECKING

from aiohttp import web

from hello.sandbox.issuer.pages import message_page

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler


class Switch:
    """Answers every request to an application with 503 while `on` is False.

    `client_origin` is where a person can switch it on again. Create it before the application is
    served.
    """

    def __init__(self, app: web.Application, client_origin: str) -> None:
        self.on = True
        self._client_origin = client_origin
        app.middlewares.insert(0, self._answer)

    @web.middleware
    async def _answer(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        if self.on or request.path.startswith("/assets/"):  # the page below needs its style
            return await handler(request)
        return message_page(
            "This issuer is switched off",
            "Its switch is in the client, at the end of Home.",
            status=503,
            client_origin=self._client_origin,
        )
