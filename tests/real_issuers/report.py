"""What was sent, what came back, and is that what was expected?"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = Mapping[str, Any]

_LETTERS = 12  # of a string that is different in every run


class Line(NamedTuple):
    """A row of the table."""

    issuer: str
    token: str  # its kind
    sent: str
    answered: str
    why: str  # the reason of a refusal, or the scopes that the handler saw
    as_expected: bool


class Introspected(NamedTuple):
    """What an issuer said about a token."""

    issuer: str
    asked: str
    status: int
    answer: str
    as_expected: bool


@dataclass
class Report:
    """All that one issuer's tokens were answered with."""

    issuer: str
    lines: list[Line] = field(default_factory=list)
    introspected: list[Introspected] = field(default_factory=list)
    tokens: list[tuple[str, str, str]] = field(default_factory=list)
    advice: list[tuple[str, str, str]] = field(default_factory=list)

    def answered(self, token: str, sent: str, *, got: tuple[int, str], expected: object) -> None:
        """Note an answer. `expected` is a status, or a status and a reason."""
        wanted = expected if isinstance(expected, tuple) else (expected,)
        good = got[: len(wanted)] == wanted
        status = str(got[0]) if good else f"**{got[0]}**, not {' '.join(map(str, wanted))}"
        self.lines.append(Line(self.issuer, token, sent, status, got[1], good))

    def said(self, asked: str, status: int, answer: Any, *, expected: Json | int) -> None:
        """Note an introspection. `expected` are members that the answer must have, or a status."""
        if isinstance(expected, int):
            good = status == expected
        else:
            good = status == 200 and isinstance(answer, dict) and {**answer, **expected} == answer
        self.introspected.append(Introspected(self.issuer, asked, status, shortened(answer), good))

    def looks(self, what: str, value: Json) -> None:
        """Note what a token is like."""
        self.tokens.append((self.issuer, what, shortened(value)))

    @property
    def failures(self) -> list[str]:
        failed = [
            f"{line.issuer}: {line.token}: {line.sent}: {line.answered} {line.why}"
            for line in self.lines
            if not line.as_expected
        ]
        return failed + [
            f"{said.issuer}: introspection of {said.asked}: {said.status} {said.answer}"
            for said in self.introspected
            if not said.as_expected
        ]


def compared(lines: Iterable[Line]) -> str:
    """Return a table with a column for each kind of token of each issuer."""
    columns: dict[str, dict[str, str]] = {}
    for line in lines:
        answers = columns.setdefault(f"{line.issuer}: {line.token}", {})
        reason = f" `{line.why}`" if line.answered == "401" else ""
        answers[line.sent] = line.answered + reason
    sent = dict.fromkeys(what for answers in columns.values() for what in answers)
    rows = ([what, *(each.get(what, "") for each in columns.values())] for what in sent)
    return markdown(("what is sent", *columns), rows)


def shortened(value: Any) -> str:
    """Return JSON whose long random strings are cut."""

    def cut(member: Any) -> Any:
        if isinstance(member, str) and len(member) > 3 * _LETTERS and " " not in member:
            return member if "://" in member else f"{member[:_LETTERS]}…"
        if isinstance(member, dict):
            return {name: cut(each) for name, each in member.items()}
        return member

    return json.dumps(cut(value), ensure_ascii=False)


def markdown(head: Collection[str], rows: Iterable[Collection[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
