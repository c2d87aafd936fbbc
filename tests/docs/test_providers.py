"""Do the tokens of the pages about providers get what each page says, in the page's own code?"""

import re
from collections.abc import Awaitable, Callable
from pathlib import PurePath

import pytest
from joserfc.jwk import Key

from support.api import ApiServer, Client
from support.outputs import logged
from support.pages import examples, rows_by_id
from support.providers.every import OVERVIEW, PAGES, PROVIDERS, answered, app_of, in_overview, shown
from support.providers.sending import Sent

NAMES = list(rows_by_id(OVERVIEW, "providers"))
ROWS = [
    (name, row, *cells[1:])
    for name in NAMES
    for row, cells in rows_by_id(PROVIDERS[name].page, f"{name}-answers").items()
]
# Each has settings for run.py, and a command that gets a token. For jobs, run.py is too open.
FOR_RUN_PY = [
    name for name in NAMES if not in_overview(name)[5] and name not in ("github", "gitlab")
]
OPTIONS = (
    "algorithms",
    "allow_insecure_http",
    "audience_claim",
    "fetch",
    "header",
    "jwks_uri",
    "keys",
    "secret",
    "types",
)
Serve = Callable[[ApiServer], Awaitable[Client]]


@pytest.mark.parametrize(("name", "row", "status", "reason"), ROWS)
async def test_a_token_gets_the_answer_that_the_page_names(
    provider: Callable[[str], Awaitable[Sent]],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    row: str,
    status: str,
    reason: str,
) -> None:
    sent = PROVIDERS[name].sent[row](await provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == int(status)
    refused = [logged(each)[2:4] for each in caplog.messages if each.startswith("refused")]
    assert refused == ([] if status == "200" else [(status, reason.strip("`"))])
    assert not [each for each in caplog.records if each.exc_info]  # a refusal leaves no stack


def test_every_row_has_its_token_and_every_example_its_provider() -> None:
    assert set(NAMES) == set(PROVIDERS)
    there = [(name, row) for name, provider in PROVIDERS.items() for row in provider.sent]
    assert sorted((name, row) for name, row, *_ in ROWS) == sorted(there)
    found = {example for page in PAGES for example in examples(page)}
    tokens = {f"{name}-token" for name, provider in PROVIDERS.items() if not provider.like}
    needed = {f"{name}-app" for name in NAMES} | tokens
    besides = {"keycloak-save-keys", "keycloak-given-keys", "network"}
    besides |= {"github-job", "gitlab-job", "kubernetes-pod"}
    of_run_py = {f"{name}-{part}" for name in FOR_RUN_PY for part in ("env", "command")}
    of_run_py |= {f"{name}-env" for name in ("adfs", "cognito", "keycloak-compose")}
    # What version 1.0 is asked for with is the same.
    assert found == needed | besides | of_run_py - {"entra-v1-command"}


def test_a_provider_s_row_says_what_its_code_and_its_tokens_have(
    keys: list[Key],
) -> None:
    for name in NAMES:
        sent, (provider, iss, _, _, _, needs) = shown(name, keys[0]), in_overview(name)
        assert iss == f"`{sent.claims['iss']}`"
        named = set(re.findall(r"`(\w+)=`", needs))
        assert named == {option for option in OPTIONS if f"{option}=" in sent.code}
        assert ("a resolver" in needs) == ("issuers=[" not in sent.code and "issuers=" in sent.code)
        page, _, anchor = re.findall(r"\((.*)\)", provider)[0].partition("#")
        assert (page or "providers.md") == PurePath(PROVIDERS[name].page).name
        assert anchor
