"""One report and one browser for all tests of this folder."""

import shutil

import pytest

from tests.browser.runs import SIGNATURES, make_runs
from tools import report

ARGUMENTS = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_runs(root)
    return root


@pytest.fixture(scope="session")
def make(runs, tmp_path_factory):
    """Makes a report of these runs, and gives the address of its page."""

    def made(*arguments):
        out = tmp_path_factory.mktemp("out") / "report"
        options = [
            "--out", out, "--outputs", runs / "outputs", "--repo", runs / "release_models",
            "--musdb", runs / "songs", "--seconds", "4",
        ]  # fmt: skip
        assert report.main([str(word) for word in (*arguments, *options)]) == 0
        return (out / "index.html").as_uri()

    return made


@pytest.fixture(scope="session")
def one(make):
    """Of one run."""
    return make(SIGNATURES[1], "--players", "2")


@pytest.fixture(scope="session")
def two(make):
    """Of two runs."""
    return make(*SIGNATURES, "--players", "1")


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH: apt install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


class Visitor:
    """Opens pages, and notes what they complain of and what they ask for but files beside them."""

    def __init__(self, browser):
        self.browser, self.contexts, self.complaints = browser, [], []

    def __call__(self, address, width=1440, **options):
        context = self.browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.contexts.append(context)
        page = context.new_page()
        note = self.complaints.append
        page.on("console", lambda message: note(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: note(str(error)))
        page.on("dialog", lambda dialog: note(f"dialog: {dialog.message}"))
        folder = address.rpartition("/")[0]

        def check(request):
            if not request.url.startswith(f"{folder}/"):
                note(f"asks for {request.url}")

        def failed(request):
            # A browser stops reading a sound when it has enough of it for now.
            if not (request.resource_type == "media" and "ABORTED" in (request.failure or "")):
                note(f"failed: {request.url}: {request.failure}")

        page.on("request", check)
        page.on("requestfailed", failed)
        page.goto(address)
        return page


@pytest.fixture
def visit(browser):
    """A visitor; the test fails if a page complained."""
    visitor = Visitor(browser)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert visitor.complaints == []
