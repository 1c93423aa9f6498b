"""Open a page as a reader would, and write down everything that is wrong with it."""

import gzip
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

SITE = Path(__file__).parents[2] / "_build" / "html"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

# MathJax paints an unknown command in red and frames a syntax error; a formula that it never
# reached has no container.
TEX = """() => {
  const problems = [];
  for (const formula of document.querySelectorAll('.math'))
    if (!formula.querySelector('mjx-container'))
      problems.push('not typeset: ' + formula.textContent.trim().slice(0, 120));
  for (const formula of document.querySelectorAll('mjx-container'))
    if (formula.querySelector('mjx-merror, [style*="red"]'))
      problems.push('TeX error: ' + formula.textContent.trim().slice(0, 120));
  return problems;
}"""

# Wider than the window by more than a rounding error: the whole page scrolls sideways.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width + 1) return [];
  const clipped = node => {
    for (let up = node.parentElement; up; up = up.parentElement)
      if (up !== document.body && up !== document.documentElement
          && getComputedStyle(up).overflowX !== 'visible') return true;
    return false;
  };
  const wide = [...document.querySelectorAll('body *')]
    .filter(node => node.getBoundingClientRect().right > width + 1 && !clipped(node))
    .map(node => `${node.tagName.toLowerCase()}.${node.className} ends at `
                 + Math.round(node.getBoundingClientRect().right));
  return [`page is ${document.documentElement.scrollWidth} px wide`, ...wide.slice(0, 5)];
}"""

# A text alternative that is missing, or the name of the file, which is myst-nb's fallback.
IMAGES = """() => [...document.querySelectorAll('img')].filter(image => {
    const alt = (image.getAttribute('alt') || '').trim();
    return alt.length < 4 || /\\.(png|svg|jpe?g|gif)$/i.test(alt) || /[0-9a-f]{32}/.test(alt);
  }).map(image => `${image.getAttribute('src').slice(0, 80)} has alt "${image.alt}"`)"""

# What is folded is read too: open it before judging colours and names.
UNFOLD = """() => {
  document.querySelectorAll('details').forEach(fold => { fold.open = true; });
}"""

# A colour of the highlighter is judged once in each block of code: a listing has thousands of
# tokens, and all of one class look alike. What is unwrapped stays as text, as wide as before.
THIN = """() => {
  for (const block of document.querySelectorAll('.highlight pre')) {
    const seen = new Set();
    for (const token of block.querySelectorAll('span[class]')) {
      const judged = seen.has(token.className) && !token.childElementCount;
      if (judged) token.replaceWith(token.textContent);
      else seen.add(token.className);
    }
  }
}"""

# Its preloading fetches stylesheets by addresses that are wrong for imported ones.
AXE = "async () => (await axe.run({resultTypes: ['violations'], preload: false})).violations"

FRAMES = """async () => {
  await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
}"""

# Colours fade when the theme changes; what is measured on the way is neither light nor dark.
SETTLE = """async () => {
  await Promise.all(document.getAnimations().map(animation => animation.finished));
}"""


@dataclass
class PageReport:
    """Complaints, each a readable line. A good page has none."""

    foreign_requests: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # what it asked for, by path: no complaint
    console: list[str] = field(default_factory=list)
    tex: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    overflow: dict[int, list[str]] = field(default_factory=dict)
    axe: dict[str, list[str]] = field(default_factory=dict)


def listen(page: Page, report: PageReport, host: str) -> None:
    """Record requests and console messages from now on."""

    def on_request(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and url.netloc != host:
            report.foreign_requests.append(request.url)

    def on_response(response: Response) -> None:
        report.files.add(unquote(urlsplit(response.url).path))
        if response.status >= 400:
            report.failed_requests.append(f"{response.status} {response.url}")

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            report.console.append(f"{message.type}: {message.text}")

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda r: report.failed_requests.append(f"{r.failure} {r.url}"))
    page.on("console", on_console)
    page.on("pageerror", lambda error: report.console.append(f"uncaught: {error}"))


@cache
def wire_size(file: Path) -> int:
    """Bytes that a host sends for a file: text is compressed on the way, pictures are already."""
    content = file.read_bytes()
    plain = file.suffix in {".html", ".css", ".js", ".svg", ".json"}
    return len(gzip.compress(content, 6)) if plain else len(content)


def open_page(page: Page, url: str) -> None:
    """Load a page and wait until its formulas stand."""
    page.goto(url, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
    page.evaluate(FRAMES)  # what was typeset asks for its fonts when it is laid out
    page.wait_for_function("document.fonts.status === 'loaded'")


def accessibility(page: Page) -> list[str]:
    """Violations found by axe-core, one line per element."""
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))} {summary(node)}"
        for violation in page.evaluate(AXE)
        for node in violation["nodes"]
    ]


def summary(node: dict[str, Any]) -> str:
    """Axe's explanation on one line."""
    text = " ".join(node.get("failureSummary", "").split())
    return text.removeprefix("Fix any of the following: ")[:240]


def inspect(context: BrowserContext, url: str) -> PageReport:
    """Load ``url`` once, then look at it wide, narrow, light and dark."""
    report = PageReport()
    page = context.new_page()
    try:
        listen(page, report, urlsplit(url).netloc)
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light")
        open_page(page, url)
        report.tex = page.evaluate(TEX)
        report.images = page.evaluate(IMAGES)
        report.overflow[WIDE["width"]] = page.evaluate(OVERFLOW)
        page.evaluate(AXE_SCRIPT)
        page.evaluate(UNFOLD)
        page.evaluate(THIN)
        report.axe["light"] = accessibility(page)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        page.evaluate(FRAMES)
        page.evaluate(SETTLE)
        report.axe["dark"] = accessibility(page)
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(400)  # the theme waits 300 ms before it looks at the new width
        report.axe["phone"] = accessibility(page)
        report.overflow[PHONE["width"]] = page.evaluate(OVERFLOW)
    finally:
        page.close()
    return report
