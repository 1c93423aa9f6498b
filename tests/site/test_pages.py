"""Every page of the built site, in a browser: it is complete, quiet, legible and accessible."""

from collections.abc import Callable

import pytest

from tests.site.checks import SITE, PageReport, wire_size

# All of them: chapters, index, search and the listings of source code.
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html"))
PAGES = [page for page in PAGES if not page.startswith("_static/")]  # templates of the theme

each_page = pytest.mark.parametrize("path", PAGES)
Report = Callable[[str], PageReport]


def complain(problems: list[str]) -> str:
    """One problem on a line, each once."""
    return "\n" + "\n".join(dict.fromkeys(problems))


def test_the_site_is_built() -> None:
    assert "index.html" in PAGES, "there is no built site: run make book"
    assert any(page.startswith("chapters/") for page in PAGES)


@each_page
def test_asks_no_other_host(path: str, report: Report) -> None:
    problems = report(path).foreign_requests
    assert not problems, complain(problems)


@each_page
def test_every_request_succeeds(path: str, report: Report) -> None:
    problems = report(path).failed_requests
    assert not problems, complain(problems)


@each_page
def test_page_is_light(path: str, report: Report) -> None:
    """With all that it asks for, fonts and the scripts of formulas too, and nothing cached."""
    files = [SITE / name.removeprefix("/genfin/") for name in report(path).files]
    sizes = {file.name: wire_size(file) for file in files if file.is_file()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    assert sizes
    assert sum(sizes.values()) < 1_500_000, largest


@each_page
def test_console_is_quiet(path: str, report: Report) -> None:
    problems = report(path).console
    assert not problems, complain(problems)


@each_page
def test_formulas_are_typeset(path: str, report: Report) -> None:
    problems = report(path).tex
    assert not problems, complain(problems)


@each_page
def test_images_have_text_alternatives(path: str, report: Report) -> None:
    problems = report(path).images
    assert not problems, complain(problems)


@each_page
@pytest.mark.parametrize("mode", ["light", "dark", "phone"])
def test_no_accessibility_violation(path: str, mode: str, report: Report) -> None:
    problems = report(path).axe[mode]
    assert not problems, complain(problems)


@each_page
@pytest.mark.parametrize("width", [1280, 390])
def test_page_does_not_scroll_sideways(path: str, width: int, report: Report) -> None:
    problems = report(path).overflow[width]
    assert not problems, complain(problems)
