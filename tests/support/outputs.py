"""Does a program print what a page shows, whatever the words of its messages are?

Compared is what a reader or another program relies on: statuses, reasons, rules, routes, values. In
what a page shows, `...` stands for anything.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

_T = TypeVar("_T")

_LOGGED = re.compile(r"(?:[\d-]{10} [\d:,]{12} \[\d+\] ([A-Z]+) (hello[.\w]*): )?(.*)", re.DOTALL)
_REFUSED = re.compile(r"refused (\d{3}) (\w+): ([A-Z]+) (\S+) sub=('(?:\\.|[^'])*'|\S+)(?: .*)?")
_UNREAD = re.compile(r"refused (\d{3}) (malformed_request): .*")
_FAILED = re.compile(r"([a-z_]+): .*", re.DOTALL)  # at the issuer's, or in a function of a user's
_ANSWERED = re.compile(r"(\S+) ([A-Z]+) (\S+) (\d{3}) \d+ ms(?: .*)?")
_RULE = re.compile(r"(ok|FAILED|not checked) +(\S+) *(.*)")
_HAS = re.compile(r" +has +(.*)")
_VERDICT = re.compile(r'(?:([A-Z]+ /\S*): )|(?:(\d{3}) "[^"]+", reason (\w+))')
_DESCRIPTION = re.compile(r'(?<=error_description=")[^"]*')
_ACCESS = re.compile(r"^([A-Z]+ +\S+) +(public$)?.*", re.MULTILINE)


def logged(line: str) -> tuple[str, ...]:
    """What a line of the log says: its level, its logger, and all of a refusal or an answer.

    But for its date, milliseconds, what follows the subject, and the words of other messages.
    """
    found = _LOGGED.match(line.rstrip("\n"))
    assert found
    level, logger, message = found.groups(default="")
    for known in (_REFUSED, _UNREAD, _FAILED, _ANSWERED):
        if said := known.fullmatch(message):
            return (level, logger, *said.groups())
    return (level, logger)


def same_text(printed: str, shown: str) -> bool:
    """Say whether an answer is the one that is shown, but for the words that describe its error."""
    wanted = re.escape(_DESCRIPTION.sub("", shown.strip())).replace(r"\.\.\.", ".*")
    return re.fullmatch(wanted, _DESCRIPTION.sub("", printed.strip()), re.DOTALL) is not None


def same_routes(printed: str, shown: str) -> bool:
    """Say whether a list of routes is the one that is shown, and the same ones are public."""
    return same_text(_ACCESS.sub(r"\1 \2", printed), _ACCESS.sub(r"\1 \2", shown))


def same_check(printed: str, shown: str) -> bool:
    """Say whether `--check-token` prints what is shown: its rules, their values, its verdicts."""
    ours, theirs = _checked(printed), _checked(shown)
    return (
        ours.refused == theirs.refused
        and _in_order(theirs.rules, ours.rules, _like)
        and _in_order(theirs.routes, ours.routes, tuple.__eq__)
        and ("..." in shown or len(ours.rules) == len(theirs.rules))
    )


class _Rule(NamedTuple):
    """A rule, whether it is met, the values in its line, and whether it is why a token is bad."""

    status: str
    name: str
    values: frozenset[str]
    decisive: bool


class _Checked(NamedTuple):
    """What is said of a token: its rules, why it is refused, and what each route says to it."""

    rules: list[_Rule]
    refused: list[tuple[str, str]]
    routes: list[tuple[str, str, str]]


def _checked(printed: str) -> _Checked:
    rules: list[_Rule] = []
    said = ""
    for line in printed.splitlines():
        if rule := _RULE.match(line):
            values = _values(rule[3].split("(wants")[0])
            rules.append(_Rule(rule[1], rule[2], values, decisive=False))
        elif has := _HAS.match(line):
            value, arrow, _ = has[1].partition("<-")
            rules[-1] = rules[-1]._replace(values=_values(value), decisive=bool(arrow))
        else:
            said += f"{line} "
    refused: list[tuple[str, str]] = []
    routes: list[tuple[str, str, str]] = []
    for route, status, reason in _VERDICT.findall(said):
        if route:
            routes.append((route, "", ""))
        elif routes:
            routes[-1] = (routes[-1][0], status, reason)
        else:
            refused.append((status, reason))
    return _Checked(rules, refused, routes)


def _values(has: str) -> frozenset[str]:
    return frozenset(re.findall(r'"[^"]*"|\d[\d:-]*', has))


def _like(shown: _Rule, real: _Rule) -> bool:
    return shown.values <= real.values and shown._replace(values=real.values) == real


def _in_order(shown: Sequence[_T], real: Sequence[_T], like: Callable[[_T, _T], bool]) -> bool:
    left = iter(real)
    return all(any(like(one, other) for other in left) for one in shown)
