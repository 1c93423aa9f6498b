"""What students hand in: right answers written differently, and the errors that everybody makes."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Submission:
    """Answers that differ from the model solution.

    Attributes:
        what: Which errors they make.
        answers: Code by the name of the cell; other cells hold the model solution.
        loses: Tests that must fail. All others must pass.
    """

    what: str
    answers: dict[str, str]
    loses: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return self.what
