"""A headless browser, and a server of the built site.

The site is served below ``/genfin/`` because GitHub Pages serves a project below the root of its
host: a link that begins with ``/`` works at the root and breaks there.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.site.checks import SITE, PageReport, inspect

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The sandbox needs privileges that containers withhold; the others keep the browser's own services
# from asking for things, so that every request seen is one of the page.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PREFIX = "/genfin"


class SubpathHandler(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        if not path.startswith(f"{PREFIX}/"):
            return str(Path(self.directory, "nothing-outside-of-the-prefix"))
        return super().translate_path(path.removeprefix(PREFIX))

    def log_message(self, *args: object) -> None:
        pass  # a line for each file would bury the failures


class Server(ThreadingHTTPServer):
    # A page of a hundred files asks for many at once. The five connections that may wait by default
    # are soon taken; one dropped then waits on, and the page with it.
    request_queue_size = 256


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one page stand together: a process that takes a stretch of them loads it once."""

    def page_of(item: pytest.Item) -> str:
        own = item.path.is_relative_to(Path(__file__).parent) and hasattr(item, "callspec")
        return str(item.callspec.params.get("path", "")) if own else ""

    items.sort(key=page_of)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), partial(SubpathHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    with serve(SITE) as url:
        yield url


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        message = (
            "the site was NOT tested, because no browser is on PATH: install Chromium or Chrome "
            "(Debian: apt-get install chromium)"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=program,
            headless=True,
            args=list(FLAGS),
            reduced_motion="reduce",
        )
        # Generous: on a busy machine the API page takes long to typeset, and that is no fault.
        context.set_default_timeout(120_000)
        expect.set_options(timeout=60_000)
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture(scope="session")
def report(browser: BrowserContext, base_url: str) -> Callable[[str], PageReport]:
    """What the browser saw on a page, loaded once however many tests ask."""
    seen: dict[str, PageReport] = {}

    def look(path: str) -> PageReport:
        if path not in seen:
            seen[path] = inspect(browser, base_url + path)
        return seen[path]

    return look
