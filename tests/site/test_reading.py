"""What a reader does: search, unfold a solution, print, copy code, take a notebook home."""

import re

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.site.checks import PHONE, SITE, PageReport, listen, open_page
from tests.site.test_pages import PAGES

NOTEBOOKS = [page for page in PAGES if (SITE / "_sources" / page).with_suffix(".ipynb").is_file()]
FOLDED_SOLUTION = "details.solution"


def first_page_with(pattern: str) -> str:
    return next(page for page in PAGES if re.search(pattern, (SITE / page).read_text("utf-8")))


def test_search_finds_a_word_of_the_book(page: Page, base_url: str) -> None:
    open_page(page, f"{base_url}search.html?q=jacobian")
    result = page.locator("ul.search li a").first
    expect(result).to_be_visible()
    result.click()
    expect(page.locator("article")).to_contain_text(re.compile("jacobian", re.IGNORECASE))


def test_search_opens_from_the_keyboard(page: Page, base_url: str) -> None:
    open_page(page, base_url)
    page.keyboard.press("Control+k")
    field = page.locator("#pst-search-dialog input[type=search]")
    expect(field).to_be_focused()
    field.fill("flow")
    field.press("Enter")
    page.wait_for_url("**/search.html?q=flow")
    expect(page.locator("ul.search li a").first).to_be_visible()


def test_a_solution_unfolds_by_a_click_on_its_title(page: Page, base_url: str) -> None:
    path = first_page_with(r'<details class="[^"]*\bsolution\b')
    report = PageReport()
    listen(page, report, base_url.split("/")[2])
    open_page(page, base_url + path)
    solution = page.locator(FOLDED_SOLUTION).first
    inside = solution.locator(":scope > :not(summary)").first
    expect(inside).to_be_hidden()
    solution.locator("summary").click()
    expect(inside).to_be_visible()
    assert page.url == base_url + path, "the title led away from the solution"
    assert not report.console


def test_a_solution_unfolds_from_the_keyboard(page: Page, base_url: str) -> None:
    open_page(page, base_url + first_page_with(r'<details class="[^"]*\bsolution\b'))
    solution = page.locator(FOLDED_SOLUTION).first
    solution.locator("summary").press("Enter")
    expect(solution.locator(":scope > :not(summary)").first).to_be_visible()


def test_print_unfolds_solutions_and_folds_them_again(page: Page, base_url: str) -> None:
    open_page(page, base_url + first_page_with(r'<details class="[^"]*\bsolution\b'))
    solution = page.locator(FOLDED_SOLUTION).first
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(solution).to_have_attribute("open", "")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(solution).not_to_have_attribute("open", "")


def test_code_is_copied(page: Page, base_url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, base_url + NOTEBOOKS[0])
    cell = page.locator("div.cell_input:visible").first
    cell.hover()
    cell.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == cell.locator("pre").inner_text().strip()


def test_an_animation_waits_plays_stops_and_can_be_stepped(page: Page, base_url: str) -> None:
    open_page(page, base_url + first_page_with(r'<div class="player"'))
    player = page.locator(".player").first
    picture, button = player.locator("img"), player.locator("button")
    slider = player.locator("input")
    last = slider.get_attribute("max")
    still = picture.get_attribute("src")
    assert slider.input_value() == "0"  # it does not move before it is asked to
    button.click()
    expect(button).to_have_text("Pause")
    expect(button).to_have_text("Play")  # it stops at the end by itself
    assert slider.input_value() == last
    assert picture.get_attribute("src") != still
    slider.focus()
    page.keyboard.press("Home")
    assert picture.get_attribute("src") == still


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_the_notebook_can_be_downloaded(path: str, page: Page, base_url: str) -> None:
    open_page(page, base_url + path)
    link = page.locator("a.btn-download-source-button").get_attribute("href")
    assert link is not None
    response = page.request.get(page.evaluate("link => new URL(link, location).href", link))
    nbformat.validate(nbformat.reads(response.text(), as_version=4))


def test_the_colour_mode_button_goes_dark(page: Page, base_url: str) -> None:
    page.emulate_media(color_scheme="light")
    open_page(page, base_url)
    for _ in range(3):  # auto, light, dark, in the theme's order
        page.locator("button.theme-switch-button:visible").first.click()
        if page.evaluate("document.documentElement.dataset.mode") == "dark":
            break
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.evaluate("localStorage.clear()")  # the profile is shared with the other tests


def test_the_table_of_contents_opens_on_a_phone(page: Page, base_url: str) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, base_url)
    chapter = page.locator("nav.bd-links a[href*='chapters/']").first
    expect(chapter).to_be_hidden()
    page.locator("button.primary-toggle").click()
    expect(chapter).to_be_visible()


def test_the_map_leads_to_a_chapter(page: Page, base_url: str) -> None:
    open_page(page, base_url)
    page.get_by_role("link", name="Glow of windows").click()
    expect(page.locator("article h1")).to_contain_text("Glow")


def test_a_picture_leads_to_its_figure(page: Page, base_url: str) -> None:
    open_page(page, base_url)
    picture = page.locator(".gallery a").first
    picture.scroll_into_view_if_needed()
    assert picture.locator("img").evaluate("image => image.decode().then(() => true)")
    picture.click()
    page.wait_for_url(re.compile(r"#fig-"))
    expect(page.locator(f"[id='{page.url.partition('#')[2]}'] img")).to_be_visible()


def test_a_pitfall_leads_to_its_mistake(page: Page, base_url: str) -> None:
    open_page(page, f"{base_url}chapters/appendix/pitfalls.html")
    page.get_by_role("link", name="mistake 2").first.click()
    page.wait_for_url(re.compile(r"#mistake-2$"))
    expect(page.locator("#mistake-2")).to_be_in_viewport()


def test_reference_and_chapter_lead_to_each_other(page: Page, base_url: str) -> None:
    open_page(page, f"{base_url}chapters/appendix/api.html")
    used = page.locator("dt[id='genfin_lib.flows.nice'] + dd").get_by_text("Used in")
    used.locator("xpath=following::a[1]").click()
    fold = page.locator("details.library-used")
    fold.locator("summary").click()
    fold.get_by_role("link", name="flows.nice", exact=True).click()
    page.wait_for_url("**/api.html#genfin_lib.flows.nice")
