"""Does the demo client reach the browser whole, and under a policy that holds?"""

import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser

import pytest
from aiohttp.test_utils import TestServer

from hello.sandbox.client import FOLDER, PATHS, client_app
from support.api import AUDIENCE, ApiServer, Client

API_URL = "http://localhost:6060"
ISSUER = "https://tenant.example.com/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' http://localhost:6060 https://tenant.example.com; "
    "frame-src https://tenant.example.com; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
ASSETS = sorted(path.name for path in FOLDER.iterdir() if path.name != "index.html")
NOWHERE = [
    "/nowhere",
    "/protected/",
    "/index.html",
    "/assets/",
    "/assets/index.html",
    "/assets/nothing.js",
    "/assets/../client.py",
    "/assets/%2e%2e/client.py",
    "/assets/..%2fclient.py",
    "/api/messages/public",
]

AiohttpClient = Callable[[TestServer], Awaitable[Client]]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    """A browser's view of the client's server."""
    app = client_app(api_url=API_URL, issuer=ISSUER, client_id="a-client", audience=AUDIENCE)
    return await aiohttp_client(ApiServer(app))


class Elements(HTMLParser):
    """Collects a page's elements: [(name, attributes)], and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            self.inline += data


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "status"), [*((path, 200) for path in PATHS), *((path, 404) for path in NOWHERE)]
)
async def test_every_path_is_the_page_and_an_unknown_one_says_so(
    client: Client, method: str, path: str, status: int
) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        page = (FOLDER / "index.html").read_text("utf-8")
        assert await response.text() == ("" if method == "HEAD" else page)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ASSETS)
async def test_a_file_has_its_content_type_whatever_the_machine_thinks(
    client: Client, method: str, name: str
) -> None:
    async with client.request(method, f"/assets/{name}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == CONTENT_TYPES[(FOLDER / name).suffix]
        assert response.headers["Cache-Control"] == "no-cache"
        body = (FOLDER / name).read_bytes()
        assert await response.read() == (b"" if method == "HEAD" else body)
        seen = {"If-None-Match": response.headers["ETag"]}
    async with client.request(method, f"/assets/{name}", headers=seen) as response:
        assert response.status == 304


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "path", [*PATHS, *NOWHERE, "/config.json", *(f"/assets/{name}" for name in ASSETS)]
)
async def test_every_answer_has_the_policy_and_does_not_name_the_server(
    client: Client, method: str, path: str
) -> None:
    async with client.request(method, path) as response:
        assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
        assert "Server" not in response.headers
        if method == "POST":
            assert response.status == 405
            assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("api_url", "issuer", "connect", "frame"),
    [
        (
            "https://api.example.com/",
            "https://login.example.com/realms/hello",
            "'self' https://api.example.com https://login.example.com",
            "https://login.example.com",
        ),
        (
            "http://127.0.0.1:7060",
            "http://localhost:7061/",
            "'self' http://127.0.0.1:7060 http://localhost:7061",
            "http://localhost:7061",
        ),
    ],
)
async def test_the_policy_names_the_two_origins_and_no_other(
    aiohttp_client: AiohttpClient, api_url: str, issuer: str, connect: str, frame: str
) -> None:
    app = client_app(api_url=api_url, issuer=issuer, client_id="a-client", audience=AUDIENCE)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/") as response:
        directives = response.headers["Content-Security-Policy"].split("; ")
        assert f"connect-src {connect}" in directives
        assert f"frame-src {frame}" in directives
        assert "//" not in "".join(
            part for part in directives if not part.startswith(("connect-src", "frame-src"))
        )
    async with client.get("/config.json") as response:
        settings = await response.json()
        assert settings["apiUrl"] == api_url.rstrip("/")
        assert settings["issuer"] == issuer


async def test_the_page_is_told_whom_it_speaks_with(client: Client) -> None:
    async with client.get("/config.json") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert response.headers["Cache-Control"] == "no-store"
        assert await response.json() == {
            "apiUrl": API_URL,
            "issuer": ISSUER,
            "clientId": "a-client",
            "audience": AUDIENCE,
            "adminPermission": None,
            "lessons": False,
        }


def test_the_page_has_no_script_style_or_listener_of_its_own() -> None:
    """The policy would block them, and a blocked one is a broken page."""
    page = Elements((FOLDER / "index.html").read_text("utf-8"))
    assert not page.inline.strip()
    for name, attributes in page.found:
        assert name not in {"style", "base"}
        assert not [key for key in attributes if key == "style" or key.startswith("on")]
        for key in ("src", "href"):
            assert (attributes.get(key) or "/").startswith(("/", "#"))


def test_what_the_page_refers_to_is_served() -> None:
    page = Elements((FOLDER / "index.html").read_text("utf-8"))
    referred = {
        value
        for _name, attributes in page.found
        for key, value in attributes.items()
        if key in {"src", "href"} and value is not None and not value.startswith("#")
    }
    assert referred <= {*PATHS, *(f"/assets/{name}" for name in ASSETS)}


def test_modules_import_only_what_is_here() -> None:
    for path in FOLDER.glob("*.js"):
        source = path.read_text("utf-8")
        imported = re.findall(r'^(?:import|export)\b[^;]*?\bfrom "([^"]+)";', source, re.MULTILINE)
        assert {f"./{name}" for name in ASSETS} >= set(imported), path.name
        assert not re.search(r"\bimport\(", source), path.name


def test_no_file_names_another_origin() -> None:
    """Addresses come from config.json and from the issuer's metadata. SVG's own name is none."""
    for path in FOLDER.iterdir():
        source = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        code = "\n".join(
            line for line in source.splitlines() if not line.lstrip().startswith(("//", "*", "/*"))
        )
        assert not re.search(r"(?:https?|wss?):?//|[\"'(]//", code), path.name


@pytest.mark.parametrize(
    "sink",
    [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        "localStorage",
        "document.cookie",
    ],
)
def test_nothing_becomes_html_or_code_and_no_token_is_stored(sink: str) -> None:
    for path in FOLDER.glob("*.js"):
        assert sink not in path.read_text("utf-8"), path.name


def test_a_module_says_which_question_it_answers() -> None:
    for path in FOLDER.glob("*.js"):
        first, *rest = path.read_text("utf-8").splitlines()
        assert re.fullmatch(r"// .*\?( \(.*\))?", first), path.name
        assert len(rest) < 400, path.name
