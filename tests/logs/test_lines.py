"""What does a line of the log look like, whoever had a hand in what it says?"""

import base64
import errno
import io
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from hello.logs import AccessLog, BackgroundHandler, LineFormatter, log_to_stderr
from hello.logs.writing import newly_lost
from support.api import Client, bearer
from support.logs import root_logger_restored

FORGED = "2026-01-01 00:00:00,000 INFO hello.auth: all is well"
ENTRY = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} \[{os.getpid()}\] "


def flush() -> None:
    """Wait until the thread that writes the log has written it."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def formatted(message: str, *arguments: object, error: BaseException | None = None) -> str:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("hello", logging.INFO, "", 1, message, arguments, exc_info)
    return LineFormatter("%(levelname)s %(name)s: %(message)s").format(record)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, with 'quotes', a \\ and 5 %", "plain, with 'quotes', a \\ and 5 %"),
        ("élève, 漢字, 🙂", "élève, 漢字, 🙂"),
        (f"a\n{FORGED}", f"a\\n{FORGED}"),
        (f"a\r\n{FORGED}", f"a\\r\\n{FORGED}"),
        ("a\tb", "a\\tb"),
        (
            "nul\x00 bell\x07 backspace\x08 delete\x7f",
            "nul\\x00 bell\\x07 backspace\\x08 delete\\x7f",
        ),
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("\x0b\x0c\x1c\x1d\x1e\x1f", "\\x0b\\x0c\\x1c\\x1d\\x1e\\x1f"),
        ("\x85 \x9b31m", "\\x85 \\x9b31m"),
        ("\u2028 \u2029", "\\u2028 \\u2029"),
        ("right to left: \u202e", "right to left: \\u202e"),
        ("not to be seen: \u200b \ufeff \xad", "not to be seen: \\u200b \\ufeff \\xad"),
        ("half a character: \ud800 \udcff", "half a character: \\ud800 \\udcff"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, written: str) -> None:
    assert formatted("%s", text) == f"INFO hello: {written}"
    assert formatted(text) == f"INFO hello: {written}"


def fail() -> None:
    raise ValueError(f"outer\n{FORGED}\x1b[31m\r{FORGED}") from KeyError("inner")


def test_a_stack_is_set_in_and_escaped_so_that_it_forges_no_entry() -> None:
    with pytest.raises(ValueError, match="outer") as raised:
        fail()
    first, *rest = formatted("it failed", error=raised.value).split("\n")
    assert first == "INFO hello: it failed"
    assert rest[0] == "    | KeyError: 'inner'"
    assert "    | Traceback (most recent call last):" in rest
    assert f"    | {FORGED}\\x1b[31m\\r{FORGED}" in rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("info", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("warning", ["WARNING", "ERROR", "CRITICAL"]),
        ("error", ["ERROR", "CRITICAL"]),
        ("critical", ["CRITICAL"]),
    ],
)
def test_the_log_goes_to_standard_error_from_a_level_up(
    capsys: pytest.CaptureFixture[str], level: str, written: list[str]
) -> None:
    with root_logger_restored():
        log_to_stderr("debug")
        log_to_stderr(level)  # takes the place of the one before: no line comes twice
        for number in range(logging.DEBUG, logging.CRITICAL + 1, 10):
            logging.getLogger("hello.auth").log(number, "said %s", "a\nb")
        flush()
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert [re.sub(rf"^{ENTRY}", "", line) for line in lines] == [
        f"{name} hello.auth: said a\\nb" for name in written
    ]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/api/messages/public", r"GET /api/messages/public 200"),
        ("/api/messages/public?access_token=secret", r"GET /api/messages/public 200"),
        ("/api/messages/protected?access_token=secret", r"GET /api/messages/protected 401"),
        ("/nowhere?secret", r"GET /nowhere 404"),
        ("/a%0Ab%1B%20c%C3%A9?secret", r"GET /a%0Ab%1B%20c%C3%A9 404"),
    ],
)
async def test_an_access_line_has_the_path_and_never_the_query_or_a_header(
    api: Client, caplog: pytest.LogCaptureFixture, path: str, written: str
) -> None:
    with caplog.at_level(logging.INFO, "hello"):
        url = URL(path, encoded=True)
        async with api.get(url, headers={**bearer("secret"), "Cookie": "secret"}) as response:
            await response.read()
        await api.close()  # the line is written after the answer is sent
    lines = [record.getMessage() for record in caplog.records if record.name == "hello.access"]
    (line,) = lines
    assert re.fullmatch(rf"127\.0\.0\.1 {written} \d+ ms", line)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("level", "written"), [("debug", True), ("info", True), ("warning", False), ("error", False)]
)
async def test_from_warning_up_there_is_no_access_log(
    api: Client, caplog: pytest.LogCaptureFixture, level: str, *, written: bool
) -> None:
    logger = logging.getLogger("hello.access")
    with caplog.at_level(level.upper()):
        assert AccessLog(logger, "").enabled is written
        async with api.get("/api/messages/public") as response:
            assert response.status == 200
        await api.close()
    assert ("hello.access" in {record.name for record in caplog.records}) is written


def test_an_access_line_counts_in_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    request = make_mocked_request("GET", "/a?b")
    with caplog.at_level(logging.INFO):
        access_log = AccessLog(logging.getLogger("hello.access"), "")
        access_log.log(request, web.Response(), 1.23456)
    assert caplog.messages == ["- GET /a 200 1235 ms"]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        "DPoP {}",
        "/x;access_token={}",
        "/x?token={}&y",
        "/x%3Faccess_token%3D{}%26y",
        "/x%253ftoken%253d{}",
        "/Bearer%20{}",
        "/dpop%2520{}/x",
        "/bearer+{}",
        "client_secret={}",
        '{"access_token": "{}"}',
        '"{\\"client_secret\\":\\"{}\\"}"',
        "code={} was used",
        "Sec-WebSocket-Protocol: bearer, {}",
        "Client protocols ['v1', 'bearer', '{}'] do not overlap",
        "base64url.bearer.authorization.k8s.io.{}",
        "{'access_token': None, 'x': 'Bearer {}'}",
    ],
)
@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "eyJhbGciOiJSUzI1NiJ9%2EeyJzdWIiOiIxIn0%2Ec2ln",
        "opaque-token_1.2~3+4/5==",
        "opaque-token_1.2~3%2b4%2f5%3d%3d",
    ],
)
def test_what_looks_like_a_token_is_never_written(text: str, secret: str) -> None:
    said = text.replace("{}", secret)
    written = formatted("%s", said, error=ValueError(said))
    assert not [part for part in re.split(r"[.~%+]", secret) if part in written and len(part) > 2]
    assert "eyJ" not in written


def test_a_bare_token_is_never_written_either() -> None:
    assert "eyJ" not in formatted("it was 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln' then")


class Stopped(logging.Handler):
    """A reader of the log that stops reading until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = Event()
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        assert self.go_on.wait(30)
        self.written.append(record.getMessage())


@pytest.mark.parametrize(("length", "least", "most"), [(10, 150, 200), (8_000, 10, 14)])
def test_a_log_that_nobody_reads_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, length: int, least: int, most: int
) -> None:
    """What waits is limited in bytes, because a client decides how long a line is."""
    monkeypatch.setattr("hello.logs.writing._MAX_WAITING", 200_000)
    monkeypatch.setattr("hello.logs.writing._FLUSH_SECONDS", 0.01)
    reader = Stopped()
    handler = BackgroundHandler(reader)
    for number in range(1000):
        handler.handle(logging.makeLogRecord({"msg": f"line {number} {'x' * length}"}))
    handler.flush()  # does not wait for ever
    assert not reader.written
    reader.go_on.set()
    monkeypatch.setattr("hello.logs.writing._FLUSH_SECONDS", 30)
    handler.flush()
    handler.handle(logging.makeLogRecord({"msg": "the last"}))
    handler.close()
    lines = [line for line in reader.written if line.startswith("line")]
    assert lines == sorted(lines, key=lambda line: int(line.split()[1]))
    assert least <= len(lines) <= most
    [said] = [line for line in reader.written if not line.startswith(("line", "the last"))]
    assert str(1000 - len(lines)) in said
    assert reader.written[-1] == "the last"


def test_lines_that_a_full_disk_does_not_take_are_counted_and_told_when_it_does_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    stderr = (tmp_path / "log").open("w+b", buffering=0)
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(stderr, write_through=True))
    logger = logging.getLogger("hello.auth")
    with root_logger_restored(), stderr:
        log_to_stderr("info")
        logger.info("before")
        flush()
        with Path("/dev/full").open("wb") as full, kept(stderr.fileno()):
            os.dup2(full.fileno(), stderr.fileno())
            for _ in range(3):
                logger.info("nowhere")
                flush()
        assert [newly_lost(), newly_lost()] == [3, 0]
        for number in (1, 2):
            logger.info("after %d", number)
            flush()
        assert newly_lost() == 0
        close_log()
        lines = (tmp_path / "log").read_text().splitlines()
    said = [line.split(": ", 1)[1] for line in lines]
    assert [said[0], said[1], said[3:]] == ["before", "after 1", ["after 2"]]
    assert re.fullmatch(rf"log_lost: 3 .*{os.strerror(errno.ENOSPC)}", said[2])
    assert [" WARNING hello: " in line for line in lines] == [False, False, True, False]


@contextmanager
def kept(descriptor: int) -> Iterator[None]:
    """Put back what a descriptor leads to."""
    copy = os.dup(descriptor)
    yield
    os.dup2(copy, descriptor)
    os.close(copy)


def test_a_log_that_was_closed_ends_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    with root_logger_restored():
        log_to_stderr("info")
        for number in (1, 2):
            logging.getLogger("hello").info("nowhere")
            flush()
            assert newly_lost() == 1, number
        close_log()


class Filling(logging.Handler):
    """A disk on which there is room at times."""

    def __init__(self, room: list[bool]) -> None:
        super().__init__()
        self._room = room
        self.written: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not self._room.pop(0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written.append(record.getMessage())


def test_if_the_line_about_lost_lines_is_lost_too_the_next_one_counts_it() -> None:
    disk = Filling([False, True, False, True, True])
    handler = BackgroundHandler(disk)
    for number in (1, 2, 3):
        handler.handle(logging.makeLogRecord({"msg": f"line {number}"}))
        handler.flush()
    handler.close()
    assert disk.written[:2] == ["line 2", "line 3"]
    assert disk.written[2].startswith("log_lost: 2 ")


def close_log() -> None:
    for handler in logging.getLogger().handlers:
        handler.close()


@pytest.mark.parametrize("header", ['{ "alg":"RS256"}', '{\n"alg":"RS256"}', '{\t"alg":"RS256"}'])
def test_a_token_whose_header_begins_with_white_space_is_never_written(header: str) -> None:
    encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    assert encoded not in formatted("%s", f"/x/{encoded}.eyJzdWIiOiIxIn0.c2ln/y")


def test_what_another_handler_made_of_a_stack_is_not_used() -> None:
    error = ValueError(f"outer\n{FORGED}")
    record = logging.LogRecord("hello", logging.INFO, "", 1, "m", (), (type(error), error, None))
    logging.Formatter().format(record)
    record.stack_info = f"Stack:\n{FORGED}\x1b"
    first, *rest = LineFormatter("%(message)s").format(record).split("\n")
    assert first == "m"
    assert f"    | {FORGED}\\x1b" in rest
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (f"/{'eyA' * 20}", f"/{'eyA' * 20}"),
        ("/eyAxxxxxxxx.YQ.Yg", "/[...]"),
        ("/greyarea.example.host", "/greyarea.example.host"),
        ("/a.%20eyAxxxxxxxx.YQ.Yg b", "/a.%20[...] b"),
        ("xxewoxxxxxxxx.YQ.Yg", "xx[...]"),
    ],
)
def test_a_jwt_whose_header_begins_with_white_space_is_left_out(text: str, written: str) -> None:
    assert formatted("%s", text) == f"INFO hello: {written}"


def test_the_time_for_a_line_does_not_grow_with_the_square_of_its_length() -> None:
    def seconds(text: str) -> float:
        start = time.process_time()  # what else runs on the machine does not count
        formatted("%s", text)
        return time.process_time() - start

    for begins in ("eyA", "ew0", "ewo"):
        short, long = (
            min(seconds("/" + begins * times) for _ in range(5)) for times in (10_000, 40_000)
        )
        assert long < 10 * short  # 4 times as long, so 16 times if it grew with the square
