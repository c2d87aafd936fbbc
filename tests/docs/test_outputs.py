"""Does a comparison with a page see what matters, and nothing else?"""

import pytest

from support.outputs import logged, same_check, same_routes, same_text

REFUSED = """\
ok          form        3 parts (wants a signed JWT)
FAILED      alg         wants  RS256
                        has    "HS256"  <- this is why
not checked signature   (there is no key)

Refused: 401 "Bad credentials", reason algorithm.
Let it sign with RS256.
"""
VALID = """\
ok          form        3 parts (wants a signed JWT)

The token is valid.
GET /reports: 403 "Permission denied", reason permissions. Grant it.
GET /users: it has what is asked for
"""


@pytest.mark.parametrize(
    ("printed", "old", "new", "same"),
    [
        (REFUSED, "Let it sign with RS256.", "Choose another algorithm.", True),
        (REFUSED, "a signed JWT", "three parts", True),
        (REFUSED, "<- this is why", "<- the reason", True),
        (REFUSED, "(there is no key)", "(without a key)", True),
        (REFUSED, "reason algorithm", "reason issuer", False),
        (REFUSED, ': 401 "', ': 503 "', False),
        (REFUSED, "FAILED", "ok", False),
        (REFUSED, '"HS256"', '"HS512"', False),
        (REFUSED, "  <- this is why", "", False),
        (REFUSED, "not checked signature   (there is no key)\n", "", False),
        (REFUSED, "3 parts", "2 parts", False),
        (VALID, "The token is valid.", "It is a good one.", True),
        (VALID, "it has what is asked for", "nothing is missing", True),
        (VALID, "reason permissions", "reason scope", False),
        (VALID, "GET /users", "GET /people", False),
        (VALID, "The token is valid.", 'Refused: 401 "Bad credentials", reason expired.', False),
    ],
)
def test_a_check_is_compared_by_its_rules_and_verdicts(
    printed: str, old: str, new: str, *, same: bool
) -> None:
    assert printed.count(old) == 1
    assert same_check(printed, printed)
    assert same_check(printed, printed.replace(old, new)) is same
    assert same_check(printed.replace(old, new), printed) is same


def test_what_a_page_leaves_out_of_a_check_is_anything() -> None:
    *_, verdict, advice = REFUSED.splitlines()
    assert same_check(REFUSED, f"...\n{verdict}\n{advice}")
    assert not same_check(REFUSED, f"{verdict}\n{advice}")


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ('401\nBearer error="invalid_token", error_description="It is bad"', True),
        ("401\nBearer ...", True),
        ('401\nBearer error="invalid_token"', False),
        ('403\nBearer error="invalid_token", error_description="It is not valid"', False),
    ],
)
def test_an_answer_is_compared_but_for_what_describes_the_error(shown: str, *, same: bool) -> None:
    printed = '401\nBearer error="invalid_token", error_description="It is not valid"\n'
    assert same_text(printed, shown) is same


def test_routes_are_compared_by_whether_they_are_public() -> None:
    printed = "GET      /health   public\nGET      /reports  a valid token\n"
    assert same_routes(printed, printed.replace("a valid token", "any token"))
    assert not same_routes(printed, printed.replace("a valid token", "public"))
    assert not same_routes(printed, printed.replace("/reports", "/report"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "2026-11-23 21:43:30,435 [1] WARNING hello.auth: refused 401 expired: GET /a sub='b c'",
            ("WARNING", "hello.auth", "401", "expired", "GET", "/a", "'b c'"),
        ),
        ("refused 401 expired: GET /a sub=-", ("", "", "401", "expired", "GET", "/a", "-")),
        (
            "refused 403 check: GET /a sub='x' from=::1",
            ("", "", "403", "check", "GET", "/a", "'x'"),
        ),
        ("refused 400 malformed_request: LineTooLong", ("", "", "400", "malformed_request")),
        (
            "2026-11-23 21:43:30,435 [1] INFO hello.access: 127.0.0.1 GET /a 200 3 ms request=1",
            ("INFO", "hello.access", "127.0.0.1", "GET", "/a", "200"),
        ),
        ("keys_unavailable: the keys of nobody", ("", "", "keys_unavailable")),
        ("2026-11-23 21:43:30,435 [1] ERROR hello: whatever it is", ("ERROR", "hello")),
    ],
)
def test_a_line_of_the_log_is_compared_by_its_codes(line: str, said: tuple[str, ...]) -> None:
    assert logged(line) == said
