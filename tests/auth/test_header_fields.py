"""Are credentials read as they were sent, in aiohttp 3 and in aiohttp 4?"""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from hello import auth
from hello.auth.reading import fields
from hello.auth.reading.fields import field_values
from hello.sandbox.issuer import Issuer
from support.protecting import Serve, new_handler


class NextHeaders:
    """The headers of a request as aiohttp 4.0.0a2 has them: `getall` changes the values."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._headers, name)

    def __contains__(self, name: object) -> bool:
        return name in self._headers

    def __getitem__(self, name: str) -> str:
        value: str = self._headers[name]
        return value

    def getall(self, name: str) -> list[str]:
        values = (value for line in self._headers.getall(name) for value in line.split(","))
        return [value.strip().strip('"') for value in values]


@pytest.fixture(params=[3, 4])
def aiohttp_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of two versions of aiohttp, one after the other."""
    if request.param == 4:
        headers = property(lambda incoming: NextHeaders(incoming._headers))
        monkeypatch.setattr(web.BaseRequest, "headers", headers)
        monkeypatch.setattr(fields, "_GETALL_KEEPS_VALUES", False)


@pytest.mark.usefixtures("aiohttp_of")
@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (["Bearer {}"], 200),
        (["bearer {}"], 200),
        (['Bearer "{}"'], 401),
        (['"Bearer {}"'], 401),
        (["Bearer {},"], 401),
        ([", Bearer {}"], 401),
        (["Basic eA==, Bearer {}"], 401),
        (["Bearer {}, Bearer {}"], 401),
        (["Bearer {}", "Bearer {}"], 401),
        (["", "Bearer {}"], 401),
        ([], 401),
    ],
)
async def test_credentials_are_read_as_they_were_sent(
    serve: Serve, issuer: Issuer, credentials: list[str], expected: int
) -> None:
    client = await serve(web.get("/", auth.protected(new_handler())))
    token = issuer.mint()
    headers = CIMultiDict([("Authorization", each.format(token, token)) for each in credentials])
    async with client.get("/", headers=headers) as response:
        assert response.status == expected


@pytest.mark.usefixtures("aiohttp_of")
def test_each_field_counts_whatever_the_case_of_its_name() -> None:
    fields = CIMultiDict([("X-Of-Proxy", 'a, "b"'), ("x-oF-proxy", "c"), ("X-Of-Prox", "d")])
    request = make_mocked_request("GET", "/", headers=fields)
    assert [*field_values(request, "X-of-Proxy")] == ['a, "b"', "c"]
    assert not field_values(request, "X-of-Prody")
