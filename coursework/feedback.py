"""A page for the student: own code and outputs, and which tests passed and why others did not."""

from nbconvert import HTMLExporter
from nbformat import NotebookNode, v4

from coursework.run import Outcome
from coursework.sources import is_test, mark


def feedback(merged: NotebookNode, blank: NotebookNode, outcome: Outcome, title: str) -> str:
    """HTML of the graded notebook, in which hidden tests stay hidden.

    A failed test shows its message, not its code or its traceback. Of the student's outputs text
    and pictures are shown; HTML and scripts are not, for the page is opened by others too.

    Args:
        merged: The notebook that was run, with its outputs.
        blank: The version that students get.
        outcome: Which tests passed.
        title: Heading of the page.
    """
    shown = {mark(cell)["grade_id"]: cell.source for cell in blank.cells if is_test(cell)}
    page = v4.new_notebook(metadata={"title": title})
    total, reached = 0.0, 0.0
    for cell in merged.cells:
        if cell.cell_type != "code":
            page.cells.append(v4.new_markdown_cell(cell.source))
        elif is_test(cell):
            name, worth = mark(cell)["grade_id"], float(mark(cell)["points"])
            passed = name in outcome.passed
            total, reached = total + worth, reached + worth * passed
            verdict = f"**{name}: {worth * passed:g} of {worth:g} points.**"
            page.cells.append(v4.new_code_cell(shown[name]))
            page.cells.append(v4.new_markdown_cell(f"{verdict} {_reason(cell, passed)}"))
        else:
            page.cells.append(v4.new_code_cell(cell.source, outputs=_harmless(cell.outputs)))
    lines = [f"# {title}", f"**{reached:g} of {total:g} points.**"]
    lines += [f"- {remark}" for remark in outcome.remarks]
    page.cells.insert(0, v4.new_markdown_cell("\n\n".join(lines)))
    html, _ = HTMLExporter(sanitize_html=True).from_notebook_node(page)
    text: str = html
    return text


def _reason(cell: NotebookNode, passed: bool) -> str:
    if passed:
        return "Passed."
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if not errors:
        return "The test did not come to its end."
    # As text: a message is the student's own where the student's code raised it.
    message = str(errors[0].evalue).replace("`", "'")[:600]
    return f"`{errors[0].ename}: {message}`" if message else f"`{errors[0].ename}`"


def _harmless(outputs: list[NotebookNode]) -> list[NotebookNode]:
    kept = []
    for output in outputs:
        if output.output_type in {"display_data", "execute_result"}:
            data = {k: v for k, v in output.data.items() if k in {"text/plain", "image/png"}}
            kept.append(v4.new_output(output.output_type, data=data))
        elif output.output_type == "stream":
            kept.append(output)
        else:
            kept.append(v4.new_output("stream", name="stderr", text=_plain_error(output)))
    return kept


def _plain_error(output: NotebookNode) -> str:
    return f"{output.ename}: {output.evalue}\n"
