"""What the site says of itself is taken from the book: the parts of the Sphinx extensions."""

import json
import re
import sys
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from genfin_lib.flows import nice
from tests.book.test_notebooks import NOTEBOOKS, ROOT, prose, read

sys.path.insert(0, str(ROOT / "_sphinx"))

import genfin_front as front
import genfin_pitfalls as pitfalls
import genfin_repository as repository
import genfin_site as site
import genfin_usage as usage
import model_map

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
LINK = "https://github.com/owner/book"


@each_notebook
def test_level_and_times_stand_at_the_top(path: Path) -> None:
    about = front.start(read(path).cells)
    assert about["level"] in {"introductory", "intermediate", "advanced"}
    assert re.search(r"minute|hour", about["read"])
    assert re.search(r"minute|second", about["run"])


def test_a_notebook_without_times_is_refused() -> None:
    with pytest.raises(ValueError, match="Level"):
        front.start([{"cell_type": "markdown", "source": "# Title"}])


def test_figures_of_the_gallery_exist() -> None:
    wall = re.search(r"```\{gallery\}\n(.*?)```", (ROOT / "index.md").read_text("utf-8"), re.S)
    assert wall is not None
    names = re.findall(r"^(fig-[\w-]+): \w", wall.group(1), re.M)
    found = {name: figure for path in NOTEBOOKS for name, figure in front.figures(path).items()}
    assert len(names) >= 9
    for name in names:
        alt, picture = found[name]
        assert len(alt) > 40
        assert len(front.small(picture)) < 60_000  # a dozen of them stay below a megabyte


def test_studies_name_their_command_and_time() -> None:
    makefile = "quick: x  ## Fast\njoint: $(READY)  ## Joint\nold:\n\t@x\n"
    records = [
        {"command": "make joint", "seconds": 600, "processes": 2},
        {"command": "make joint"},
        {"command": "git checkout abc && make old"},
    ]
    assert front.studies(makefile, records) == [("make joint", "Joint", "10 minutes, 2 processes")]


def test_each_stored_result_can_be_repeated() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    records = [json.loads(p.read_text()) for p in (ROOT / "data" / "results").glob("*.json")]
    commands = {f"make {name}" for name in re.findall(r"^([a-z-]+):.*## ", makefile, re.M)}
    assert {re.search(r"make [a-z-]+", r["command"]).group() for r in records} <= commands  # type: ignore[union-attr]


def test_usage_follows_names_to_where_they_were_defined() -> None:
    code = "from genfin_lib import flows, risk as r\nfrom genfin_lib.flows import maf as m\n"
    code += "m(2); flows.nice(2); r.fz0_loss; flows.no_such; nice; 'flows.iaf'"
    found = usage.used(code)
    assert usage.home(nice) in found
    assert {name.rpartition(".")[2] for name in found} == {"maf", "nice", "fz0_loss"}


@pytest.mark.parametrize(
    ("setting", "environment", "expected"),
    [
        ("", {}, ""),
        ("", {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "owner/book"}, LINK),
        (f"{LINK}/", {"GITHUB_REPOSITORY": "fork/book"}, LINK),
    ],
)
def test_one_setting_says_where_the_book_is(
    setting: str, environment: dict[str, str], expected: str
) -> None:
    assert repository.address(setting, environment) == expected


def test_buttons_come_with_an_address_and_only_then() -> None:
    assert repository.options("", {"show_toc_level": 2}) == {"show_toc_level": 2}
    given = repository.options(LINK, {"show_toc_level": 2})
    assert given["show_toc_level"] == 2
    assert given["repository_url"] == LINK
    assert {"binderhub_url", "colab_url"} <= set(given["launch_buttons"])
    assert given["launch_buttons"]["notebook_interface"] == "jupyterlab"
    elsewhere = repository.options("https://gitlab.com/owner/book", {})
    assert "colab_url" not in elsewhere["launch_buttons"]
    assert "launch_buttons" not in repository.options("https://example.org/book", {})


def test_numbers_of_mistakes_become_links() -> None:
    parts = pitfalls.linked(", mistakes 1 and 3; mistake 2.", "../a.html")
    links = [(p.astext(), p["refuri"]) for p in parts if isinstance(p, nodes.reference)]
    assert [address for _, address in links] == [f"../a.html#mistake-{n}" for n in "132"]
    assert [words for words, _ in links] == ["1", "3", "mistake 2"]
    assert "".join(part.astext() for part in parts) == ", mistakes 1 and 3; mistake 2."


def test_the_map_links_pages_that_exist_and_draws_the_others() -> None:
    first = model_map.ROWS["none"][0]
    svg = model_map.draw(lambda page: "there.html" if page == first.page else None)
    assert svg.count('<a href="there.html">') == 1
    for models in model_map.ROWS.values():
        assert all(model.name in svg for model in models)
        assert {model.likelihood for model in models} <= set(model_map.BORDERS)


@each_notebook
def test_mistakes_are_numbered_in_order(path: Path) -> None:
    text = prose(path)
    part = text[text.index("What goes wrong") : text.rindex("Summary")]
    numbers = [int(number) for number in re.findall(r"\*\*(\d)\. ", part)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 3


def linked_mistakes(page: str) -> set[int]:
    """Numbers that the list of pitfalls gives after links to a chapter, up to the next link."""
    text = (ROOT / "chapters/appendix/pitfalls.md").read_text("utf-8")
    after = re.findall(rf"\{{doc\}}`/{re.escape(page)}`(.*?)(?=\{{doc\}}|\n\n|\Z)", text, re.S)
    named = re.findall(r"mistakes? ((?:\d(?:, | and )?)+)", " ".join(after))
    return {int(digit) for group in named for digit in re.findall(r"\d", group)}


@each_notebook
def test_each_mistake_is_in_the_list_of_pitfalls(path: Path) -> None:
    shown = {
        int(number) for number in re.findall(r"\*\*(\d)\. ", prose(path).split("## Summary")[0])
    }
    missing = shown - linked_mistakes(str(path.relative_to(ROOT).with_suffix("")))
    assert not missing, f"chapters/appendix/pitfalls.md names no mistake {sorted(missing)} of it"


def test_cells_of_long_tables_wrap_on_paper() -> None:
    rule = "==  ===========================\n"
    found = []
    for rows in (31, 12):
        text = rule + "a   b\n" + rule + "x   two words and more of them\n" * rows + rule
        page = publish_doctree(text)
        site.share_columns(page)
        found.append(next(page.findall(nodes.table)))
    long, short = found
    assert [spec["colwidth"] for spec in long.findall(nodes.colspec)] == [12, 25]
    assert "colwidths-given" in long["classes"]
    assert "colwidths-given" not in short["classes"]
