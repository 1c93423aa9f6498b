"""Symbols of the chapters stand on the notation page; nobody defines TeX commands of their own."""

import re
from pathlib import Path

import pytest

from tests.book.test_notebooks import NOTEBOOKS, ROOT, prose

MATH = re.compile(r"\$\$.*?\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$|```\{math\}.*?```", re.S)
WORDS = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi
    rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi
    Omega ell nabla partial odot circ propto
"""
GREEK = set(re.findall(r"\w+", WORDS))
# Alphabets that give a letter a meaning of its own: $\mathcal{L}$ is not $L$.
ALPHABETS = re.compile(r"\\(?:mathbb|mathcal|mathfrak|mathscr)\{[^}]*\}")
OPERATORS = ("E", "Var", "Cov", "KL", "ELBO", "VaR", "ES", "OFI")


def formulas(text: str) -> str:
    return "\n".join(MATH.findall(re.sub(r"(?<!`)`[^`\n]+`(?!`)", "", text)))


def symbols(text: str) -> set[str]:
    """Greek letters, letters of other alphabets, and operators in the formulas of a text."""
    math = formulas(text)
    greek = {name for name in re.findall(r"\\([A-Za-z]+)", math) if name in GREEK}
    operators = set(re.findall(r"\\(?:mathrm|operatorname)\{(\w+)\}", math))
    return greek | set(ALPHABETS.findall(math)) | (operators & set(OPERATORS))


DEFINED = symbols((ROOT / "chapters/appendix/notation.md").read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_symbol_is_defined(path: Path) -> None:
    missing = symbols(prose(path)) - DEFINED
    assert not missing, f"chapters/appendix/notation.md does not have {sorted(missing)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_command_of_our_own(path: Path) -> None:
    """JupyterLab and Colab would not know it."""
    assert not re.search(r"\\(re)?newcommand|\\def\\|\\DeclareMath", prose(path))


def test_symbols_are_found() -> None:
    text = "A $\\mathcal{L}$ and\n```{math}\n\\mathrm{KL}\\,\\zeta\n```\nnot `$\\psi$`"
    assert symbols(text) == {"\\mathcal{L}", "KL", "zeta"}
