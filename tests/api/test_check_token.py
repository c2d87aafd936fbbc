"""Does `python run.py --check-token` tell an operator what is wrong with a token?"""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from hello.auth import terminal
from hello.sandbox.issuer import Issuer
from hello.tokens.explain.sentences import _SENTENCES
from support.api import AUDIENCE
from support.check_token import check_token, environ_for
from support.naming import naming
from support.proofs import bound_to, proof


@pytest.mark.parametrize(
    "form",
    [
        lambda token: token,
        lambda token: f"  {token}\n\n",
        lambda token: f"Bearer {token}\n",
        lambda token: f"Authorization: Bearer {token}\n",
        lambda token: f'"authorization": "Bearer {token}"',
        lambda token: f"'Authorization: bearer {token}'",
        lambda token: f"Cf-Access-Jwt-Assertion: {token}\n",
        lambda token: f"x-forwarded-access-token: Bearer {token}",
        lambda token: f'"X-Goog-IAP-JWT-Assertion": "{token}"',
        lambda token: f'"{token}"',
        lambda token: json.dumps({"access_token": token, "token_type": "Bearer"}),
    ],
)
async def test_a_good_token_is_valid_however_it_is_given(
    issuer: Issuer, tmp_path: Path, form: Callable[[str], str]
) -> None:
    ended = await check_token(form(issuer.mint()), tmp_path, **environ_for(issuer))
    assert (ended.status, ended.err) == (0, "")
    assert "FAILED" not in ended.out


@pytest.mark.parametrize("text", ["user:password", "Bearer: abc", "token: abc", "https://a.b/c"])
def test_what_is_no_header_is_kept(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert terminal.read_token().token == text


@pytest.mark.parametrize(
    ("text", "scheme", "proofs"),
    [
        ("a.b.c", None, ()),
        ("DPoP a.b.c", "DPoP", ()),
        ("Authorization: dpop a.b.c", "DPoP", ()),
        ("Authorization: DPoP a.b.c\nDPoP: d.e.f\n", "DPoP", ("d.e.f",)),
        ("dpop: d.e.f\r\nauthorization: dpop a.b.c\r\nhost: x", "DPoP", ("d.e.f",)),
        ("curl http://a -H 'Authorization: DPoP a.b.c' -H 'DPoP: d.e.f'", "DPoP", ("d.e.f",)),
        ('curl -H "DPoP: d.e.f" -H "Authorization: Bearer a.b.c" x', "Bearer", ("d.e.f",)),
        ('"authorization": "DPoP a.b.c", "dpop": "d.e.f"', "DPoP", ("d.e.f",)),
        ("Authorization: DPoP a.b.c\nDPoP: d.e.f\nDPoP: g", "DPoP", ("d.e.f", "g")),
        ("a.b.c\nDPoP: d.e.f", None, ("d.e.f",)),
        ("> Authorization: DPoP a.b.c\n> DPoP: d.e.f", "DPoP", ("d.e.f",)),
        ("Authorization: DPoP a.b.c\nDPoP: d.e.f,junk", "DPoP", ("d.e.f,junk",)),
        ("Authorization: DPoP a.b.c\nDPoP: d.e.f junk", "DPoP", ("d.e.f junk",)),
        ("curl 'https://x/dpop:abc' -H 'Authorization: DPoP a.b.c'", "DPoP", ()),
        ("Cookie: dpop:zzz\nAuthorization: DPoP a.b.c", "DPoP", ()),
        ('{"authorization": "DPoP a.b.c", "dpop": "d.e.f"}', "DPoP", ("d.e.f",)),
        ('{"access_token": "a.b.c", "token_type": "DPoP"}', None, ()),
    ],
)
def test_a_proof_may_be_given_with_the_token(
    monkeypatch: pytest.MonkeyPatch, text: str, scheme: str | None, proofs: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert terminal.read_token() == terminal.Given("a.b.c", scheme, proofs)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("Authorization: DPoP  a.b.c", " a.b.c"),  # two spaces, as the server would read it
        ("Authorization: DPoP a.b.c d", "a.b.c d"),
        ("DPoP: a.b.c", "DPoP: a.b.c"),
    ],
)
def test_what_a_server_would_refuse_is_kept(
    monkeypatch: pytest.MonkeyPatch, text: str, token: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert terminal.read_token().token == token


def test_several_credentials_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Authorization: DPoP a.b.c\nAuthorization: Bearer a.b.c\nDPoP: d.e.f"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert terminal.check_token(web.Application()) == 2
    assert "Authorization" in capsys.readouterr().err


async def test_a_bound_token_and_its_proof_are_told_of(issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.mint(claims=bound_to())
    for headers, status, told in [
        ("", 1, "bound.dpop"),
        (f"\nDPoP: {proof(token, now=issuer.clock())}", 0, None),
        (f"\nDPoP: {proof('another', now=issuer.clock())}", 1, "proof.ath"),
    ]:
        ended = await check_token(f"{token}{headers}", tmp_path, **environ_for(issuer))
        assert (ended.status, ended.err) == (status, "")
        if told is not None:
            reason, _, within = told.partition(".")
            said = _SENTENCES[reason][within].partition("{")[0]
            assert " ".join(said.split()) in ended.text


async def test_a_missing_permission_is_told(issuer: Issuer, tmp_path: Path) -> None:
    environ = environ_for(issuer, ADMIN_PERMISSION="read:admin-messages")
    ended = await check_token(issuer.mint(), tmp_path, **environ)
    assert ended.status == 0
    _, _, told = ended.text.partition("GET /api/messages/admin")
    assert re.search(naming(403, "permissions", "read:admin-messages"), told)


async def test_a_refusal_is_told_with_what_to_do(issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.mint(claims={"aud": "https://other.example.com"})
    ended = await check_token(token, tmp_path, **environ_for(issuer))
    assert (ended.status, ended.err) == (1, "")
    rules, _, told = ended.out.partition("\n\n")
    assert re.search(r"^FAILED +aud ", rules, re.MULTILINE)
    assert re.search(naming(401, "audience", AUDIENCE), told)


@pytest.mark.parametrize(
    "text",
    [
        *("opaque", "Bearer ", "\x00\x1b[31m", b"\xff\xfe\x80"),
        *("{nonsense", '{"access_token":' + "[" * 100_000, b'{"a": "\xff'),
    ],
)
async def test_what_is_no_token_is_told(issuer: Issuer, tmp_path: Path, text: str | bytes) -> None:
    ended = await check_token(text, tmp_path, **environ_for(issuer))
    assert (ended.status, ended.err) == (1, "")
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("text", ["", "\n", " ", "Authorization:", '"'])
async def test_where_no_token_is_given_there_is_nothing_to_look_at(
    issuer: Issuer, tmp_path: Path, text: str
) -> None:
    ended = await check_token(text, tmp_path, **environ_for(issuer))
    assert ended[:2] == (2, "")
    assert re.fullmatch(r".+\n", ended.err)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({}, ""),
        ({"access_token": ""}, ""),
        ({"access_token": None}, ""),
        ({"access_token": ["a"], "error": None}, ""),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "\x1b[31m"}, ""),
        ({"error": "d\u00e9ni"}, ""),
        ({"error": "x" * 65}, ""),
        ({"error": ""}, ""),
        ({"error": {"code": 1}}, ""),
    ],
)
async def test_an_answer_without_a_token_is_told(
    issuer: Issuer, tmp_path: Path, answer: dict[str, object], shown: str
) -> None:
    ended = await check_token(json.dumps(answer), tmp_path, **environ_for(issuer))
    assert ended[:2] == (2, "")
    assert re.fullmatch(r"[ -~]{,80}\n", ended.err)
    assert re.search(naming("access_token", shown), ended.err)


async def test_a_token_that_no_request_can_carry_is_not_called_valid(
    issuer: Issuer, tmp_path: Path
) -> None:
    token = issuer.mint(claims={"groups": ["x" * 100] * 80})
    ended = await check_token(token, tmp_path, **environ_for(issuer))
    assert (ended.status, ended.err) == (1, "")
    rules, _, told = ended.out.partition("\n\n")
    assert re.findall(r"^FAILED +(\w+)", rules, re.MULTILINE) == ["size"]
    assert re.search(naming(400), told)


async def test_why_an_issuer_cannot_be_asked_is_told(issuer: Issuer, tmp_path: Path) -> None:
    """In the sandbox, which is not running here."""
    issuer.url = "http://localhost:9/"
    ended = await check_token(issuer.mint(), tmp_path, **environ_for(issuer))
    assert ended.status == 1
    assert re.search(naming("WARNING hello.auth", issuer.url), ended.err)
    assert re.search(naming(503, "keys_unavailable", issuer.url), ended.text)


async def test_without_a_configuration_that_works_nothing_is_read(tmp_path: Path) -> None:
    ended = await check_token("x", tmp_path, AUTH0_DOMAIN="tenant.eu.auth0.com")
    assert ended.status == 2
    assert re.search(naming("AUTH0_AUDIENCE"), ended.err)


def test_no_more_than_a_token_could_be_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a" * 2 * terminal.MAX_READ)))
    assert len(terminal.read_token().token) == terminal.MAX_READ


def test_who_ends_the_question_for_a_token_sees_no_stack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal, "read_token", interrupted)
    assert terminal.check_token(web.Application()) == 2
    assert capsys.readouterr() == ("", "\n")


def test_at_a_terminal_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    asked = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return " bearer  abc "

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(terminal, "getpass", getpass)
    assert terminal.read_token() == terminal.Given("abc", "Bearer")
    assert len(asked) == 1
