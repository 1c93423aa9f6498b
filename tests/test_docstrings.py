"""Every public class and function says what it is, and names each of its parameters."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import genfin_lib


def public() -> Iterator[tuple[str, object]]:
    """Classes and functions that a package of the library offers by name, each once."""
    seen = set()
    for module in pkgutil.walk_packages(genfin_lib.__path__, "genfin_lib."):
        if module.name.endswith("__main__"):
            continue
        offered = importlib.import_module(module.name)
        for name in getattr(offered, "__all__", ()):
            described = getattr(offered, name)
            written = inspect.isclass(described) or inspect.isfunction(described)
            if written and described not in seen:
                seen.add(described)
                yield f"{module.name}.{name}", described


def parameters(described: object) -> set[str]:
    try:
        names = set(inspect.signature(described).parameters)  # type: ignore[arg-type]
    except ValueError:
        return set()
    return names - {"self", "args", "kwargs"}


@pytest.mark.parametrize("described", [pytest.param(d, id=name) for name, d in public()])
def test_docstring_names_every_parameter(described: object) -> None:
    assert len((inspect.getdoc(described) or "").split()) >= 3
    # A class may describe them where it begins, or where it is made; an heir, by its ancestor.
    classes = getattr(described, "__mro__", [described])
    text = " ".join(f"{c.__doc__} {c.__init__.__doc__}" for c in classes)
    missing = [n for n in parameters(described) if not re.search(rf"\b{re.escape(n)}\b", text)]
    assert not missing, f"say in the docstring what {missing} are, with shapes and units"
