"""Is one host one host, however it is written, and is nothing else one?"""

import pytest

from hello.tokens.hosts import split_host


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a.example", ("a.example", None)),
        ("A.EXAMPLE", ("a.example", None)),
        ("a.example.", ("a.example", None)),
        ("a.example:80", ("a.example", 80)),
        ("a.example:", ("a.example", None)),
        ("a.example.:8080", ("a.example", 8080)),
        ("localhost", ("localhost", None)),
        ("my_service", ("my_service", None)),
        ("127.0.0.1:6060", ("127.0.0.1", 6060)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:443", ("[::1]", 443)),
        ("[0:0:0:0:0:0:0:1]", ("[::1]", None)),
        ("[2001:DB8::A]", ("[2001:db8::a]", None)),
        ("[::ffff:1.2.3.4]", ("[::ffff:1.2.3.4]", None)),
        ("bücher.example", ("xn--bcher-kva.example", None)),
        ("XN--bcher-kva.example", ("xn--bcher-kva.example", None)),
        ("xn--a", ("xn--a", None)),
        ("a\u3002b\u3002", ("a.b", None)),
        ("a" * 63 + ".example", ("a" * 63 + ".example", None)),
    ],
)
def test_a_host_has_one_spelling(written: str, expected: tuple[str, int | None]) -> None:
    assert split_host(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", ":", ":80", ".", "..", "a..b", ".a", "a b", "a\t", "a\n", " a", "a@b", "a:b"),
        *("a:80:90", "a:65536", "a:999999", "a:-1", "a:+1", "a/", "a?", "a#", "a\\b", "http://a"),
        *("::1", "[::1", "::1]", "[]", "[a]", "[::1]a", "[::1]:a", "[::1%25eth0]", "[1.2.3.4]"),
        *(
            "%61",
            "a%00",
            "a\x00",
            "a\x7f",
            "a,b",
            "a;b",
            "a'",
            'a"',
            "a{}",
            "a*",
            "\udcff",
            "a\xff\x00",
        ),
        *("a" * 64, "a." * 200 + "a", "ü" * 100, "\u2028", "a\uff0fb", "a\uff1a80"),
    ],
)
def test_anything_else_is_no_host(written: str) -> None:
    assert split_host(written) is None
