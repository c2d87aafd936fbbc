"""Do the tokens of the pages about providers get what each page says, in the page's own code?"""

from collections.abc import Awaitable, Callable

import pytest

from support.api import ApiServer, Client
from support.outputs import logged
from support.pages import examples, rows_by_id
from support.providers.every import OVERVIEW, PAGES, PROVIDERS, answered, app_of
from support.providers.sending import Sent

NAMES = list(rows_by_id(OVERVIEW, "providers"))
ROWS = [
    (name, row, *cells[1:])
    for name in NAMES
    for row, cells in rows_by_id(PROVIDERS[name].page, f"{name}-answers").items()
]
Serve = Callable[[ApiServer], Awaitable[Client]]


@pytest.mark.parametrize(("name", "row", "status", "reason"), ROWS)
async def test_a_token_gets_the_answer_that_the_page_names(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    row: str,
    status: str,
    reason: str,
) -> None:
    sent = PROVIDERS[name].sent[row](provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == int(status)
    refused = [logged(each)[2:4] for each in caplog.messages if each.startswith("refused")]
    assert refused == ([] if status == "200" else [(status, reason.strip("`"))])
    assert not [each for each in caplog.records if each.exc_info]  # a refusal leaves no stack


def test_every_row_has_its_token_and_every_example_its_provider() -> None:
    there = [(name, row) for name, provider in PROVIDERS.items() for row in provider.sent]
    assert sorted((name, row) for name, row, *_ in ROWS) == sorted(there)
    found = {example for page in PAGES for example in examples(page)}
    assert found >= {f"{name}-{part}" for name in NAMES for part in ("app", "token")}
    may_be = {f"{name}-{part}" for name in NAMES for part in ("app", "token", "env", "command")}
    besides = {"keycloak-save-keys", "keycloak-given-keys"}
    assert found - may_be == besides
