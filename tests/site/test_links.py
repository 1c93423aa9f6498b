"""Links between pages lead somewhere. Read from the files: no browser is needed."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.site.checks import SITE
from tests.site.test_pages import PAGES, complain


class LinksAndAnchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.append(value)


@cache
def parse(page: Path) -> LinksAndAnchors:
    parser = LinksAndAnchors()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in parse(page).links:
        url = urlsplit(link)
        if url.scheme or url.netloc:
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        if link.startswith("/"):
            broken.append(f"{link} breaks where the site is not at the root of its host")
        elif not target.is_file():
            broken.append(f"{link} leads to no file")
        elif (
            url.fragment
            and target.suffix == ".html"
            and unquote(url.fragment) not in parse(target).anchors
        ):
            broken.append(f"{link} leads to no anchor")
    return broken


@pytest.mark.parametrize("path", PAGES)
def test_internal_links_resolve(path: str) -> None:
    problems = broken_links(SITE / path)
    assert not problems, complain(problems)


@pytest.mark.parametrize("path", PAGES)
def test_anchors_are_unique(path: str) -> None:
    anchors = parse(SITE / path).anchors
    repeated = [name for name in anchors if anchors.count(name) > 1]
    assert not repeated, complain(repeated)


def test_a_broken_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<p id="here"></p>')
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="other.html#here"></a><a href="https://example.org/x"></a>'
        '<a href="other.html#gone"></a><a href="gone.html"></a><img src="/root.png">'
    )
    assert [problem.split()[0] for problem in broken_links(page)] == [
        "other.html#gone",
        "gone.html",
        "/root.png",
    ]
