"""Who can log in to the sandbox?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the sandbox. An administrator has all permissions of the API."""

    subject: str
    name: str
    email: str
    about: str
    administrator: bool = False

    def claims(self, scopes: frozenset[str]) -> dict[str, object]:
        """Return the claims that scopes ask for (OpenID Connect Core 1.0 §5.4)."""
        claims: dict[str, object] = {"sub": self.subject}
        if "profile" in scopes:
            claims |= {"name": self.name, "nickname": self.name.split(" ")[0].lower()}
        if "email" in scopes:
            claims |= {"email": self.email, "email_verified": True}
        return claims


PEOPLE = {
    person.subject: person
    for person in (
        Person("sandbox|robin", "Robin Reader", "robin@example.com", "A plain user"),
        Person(
            "sandbox|ada",
            "Ada Admin",
            "ada@example.com",
            "An administrator, with every permission",
            administrator=True,
        ),
    )
}
