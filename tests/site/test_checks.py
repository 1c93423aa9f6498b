"""The checks can fail: a page with one fault of each kind, and a page with none."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.site.checks import SITE, PageReport, inspect
from tests.site.conftest import serve

FRAME = """<!DOCTYPE html>
<html lang="en" data-theme="light"><head><title>A page</title>
<link rel="icon" href="data:,"><script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const set = () => {{ document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; }};
dark.addEventListener("change", set); set();
window.MathJax = {{options: {{enableMenu: false}}}};
</script><script src="mathjax/tex-chtml.js"></script>
<style>[data-theme="dark"] body {{ background: #111; color: {dark_text}; }}</style>
</head><body><main><h1>A page</h1>{body}</main></body></html>
"""
GOOD = r"""
<p>Words and <span class="math">\(x^2\)</span>.</p>
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="A single point">
"""
FAULTY = r"""
<p><span class="math">\(\nosuchmacro\)</span> <span class="math">\(\frac{1}\)</span></p>
<img src="http://other.invalid/figure.png" alt="A figure">
<img src="gone.png" alt="../_images/0123456789abcdef0123456789abcdef.png">
<script>console.error("something broke"); null.field;</script>
<div style="width: 1500px">Too wide.</div>
"""


def look(browser: BrowserContext, folder: Path, body: str, dark_text: str) -> PageReport:
    (folder / "mathjax").symlink_to(SITE / "mathjax")
    (folder / "index.html").write_text(FRAME.format(body=body, dark_text=dark_text))
    with serve(folder) as url:
        return inspect(browser, f"{url}index.html")


@pytest.fixture(scope="module")
def faulty(browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> PageReport:
    return look(browser, tmp_path_factory.mktemp("faulty"), FAULTY, dark_text="#222")


def test_a_good_page_passes(browser: BrowserContext, tmp_path: Path) -> None:
    report = look(browser, tmp_path, GOOD, dark_text="#eee")
    assert "/genfin/index.html" in report.files
    assert replace(report, files=set()) == PageReport(
        overflow={1280: [], 390: []}, axe={"light": [], "dark": [], "phone": []}
    )


def test_a_foreign_request_is_reported(faulty: PageReport) -> None:
    assert faulty.foreign_requests == ["http://other.invalid/figure.png"]


def test_a_missing_file_is_reported(faulty: PageReport) -> None:
    assert any(problem.endswith("/genfin/gone.png") for problem in faulty.failed_requests)


def test_console_and_uncaught_errors_are_reported(faulty: PageReport) -> None:
    assert "error: something broke" in faulty.console
    assert any(problem.startswith("uncaught: ") for problem in faulty.console)


def test_bad_tex_is_reported(faulty: PageReport) -> None:
    assert len(faulty.tex) == 2, faulty.tex


def test_a_path_is_no_text_alternative(faulty: PageReport) -> None:
    assert len(faulty.images) == 1


def test_low_contrast_is_reported_in_the_mode_that_has_it(faulty: PageReport) -> None:
    def pale(mode: str) -> bool:
        return any(line.startswith("color-contrast: h1 ") for line in faulty.axe[mode])

    assert pale("dark")
    assert not pale("light")


def test_sideways_scrolling_is_reported(faulty: PageReport) -> None:
    assert faulty.overflow[1280]
    assert faulty.overflow[390]
