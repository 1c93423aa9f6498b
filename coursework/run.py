"""Run a notebook cell by cell in a kernel under limits; whatever it does, come back."""

import json
import os
import queue
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode

from coursework.kernel import CHANGED
from coursework.sources import is_test, mark

KERNEL = Path(__file__).with_name("kernel.py")
ANSWERS = {"execute_result", "stream", "display_data", "error"}


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cell: Seconds for one cell; then it is interrupted, and killed `grace` seconds later.
        grace: Seconds between the two.
        total: Seconds for the whole notebook.
        memory: Bytes of resident memory, all its processes together.
        address_space: Bytes of address space, of which PyTorch takes gigabytes without using them.
        processes: Processes at once, the kernel included.
        file_size: Bytes of the largest file that it may write.
        text: Characters of output that are kept of one cell.
    """

    cell: float = 60.0
    grace: float = 5.0
    total: float = 600.0
    memory: int = 3 * 2**30
    address_space: int = 12 * 2**30
    processes: int = 4
    file_size: int = 50 * 2**20
    text: int = 20_000


class Stopped(Exception):
    """The kernel is gone; the message says why."""


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        passed: Names of the tests that passed.
        remarks: What a teacher should know: time, memory, a dead kernel, replaced functions.
    """

    passed: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def run(notebook: NotebookNode, *, forbidden: list[Path], limits: Limits | None = None) -> Outcome:
    """Run all cells, and say which tests passed. The outputs are left in the notebook.

    A test has passed if its last statement was reached: that statement, added here, prints a word
    that nobody can know beforehand. A kernel that died, or one that only says that it ran a cell,
    earns nothing.

    Args:
        notebook: What :func:`coursework.merge.merge` returns.
        forbidden: Folders that it may not read: solutions, submissions, grades.
        limits: Time, memory, processes.
    """
    outcome = Outcome()
    with (
        tempfile.TemporaryDirectory(prefix="graded-") as folder,
        _session(limits or Limits(), forbidden, folder) as session,
    ):
        try:
            for cell in notebook.cells:
                if cell.cell_type == "code":
                    _run_cell(session, cell, outcome)
        except Stopped as reason:
            outcome.remarks.append(str(reason))
    outcome.remarks = list(dict.fromkeys(outcome.remarks))
    return outcome


def _run_cell(session: "_Session", cell: NotebookNode, outcome: Outcome) -> None:
    word = secrets.token_hex(16)
    source = f"{cell.source}\nprint({word!r})" if is_test(cell) else cell.source
    if session.execute(source, cell.outputs):
        outcome.remarks.append(f"a cell was stopped after {session.limits.cell:.0f} seconds")
    lines = "".join(output.get("text", "") for output in cell.outputs).splitlines()
    changed = [line for line in lines if line.startswith(CHANGED)]
    outcome.remarks += changed
    if is_test(cell):
        if word in lines and not changed:
            outcome.passed.add(mark(cell)["grade_id"])
        for output in cell.outputs:
            if "text" in output:
                output.text = output.text.replace(word, "").rstrip("\n")


class _Session:
    """A kernel, and the clock and the scales beside it."""

    def __init__(
        self, manager: KernelManager, client: BlockingKernelClient, limits: Limits
    ) -> None:
        self.manager, self.client, self.limits = manager, client, limits
        self.process = psutil.Process(manager.provisioner.pid)
        self.end = time.monotonic() + limits.total

    def execute(self, source: str, outputs: list[NotebookNode]) -> bool:
        """Run a cell, gather its outputs, and say whether it had to be interrupted.

        Raises:
            Stopped: If the kernel died, or had to be killed.
        """
        request = self.client.execute(source, store_history=True)
        deadline = time.monotonic() + self.limits.cell
        interrupted, kept = False, 0
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                message = None
            if message and message["parent_header"].get("msg_id") == request:
                kind, content = message["msg_type"], message["content"]
                if kind == "status" and content["execution_state"] == "idle":
                    return interrupted
                size = len(str(content))
                if kind in ANSWERS and kept + size <= self.limits.text:
                    kept += size
                    outputs.append(nbformat.v4.output_from_msg(message))
            late = time.monotonic() - deadline
            self._weigh(late)
            if late > 0 and not interrupted:
                interrupted = True
                self.manager.interrupt_kernel()

    def _weigh(self, late: float) -> None:
        limits = self.limits
        try:
            family = [self.process, *self.process.children(recursive=True)]
            memory = sum(process.memory_info().rss for process in family)
            alive = self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            alive = False
        if not alive:
            raise Stopped("its kernel died")
        if memory > limits.memory:
            self._kill(f"it used more than {limits.memory / 2**30:.0f} GiB of memory")
        if len(family) > limits.processes:
            self._kill(f"it started more than {limits.processes - 1} processes")
        if late > limits.grace:
            self._kill(f"a cell did not stop after {limits.cell:.0f} seconds")
        if time.monotonic() > self.end:
            self._kill(f"it took longer than {limits.total:.0f} seconds in all")

    def _kill(self, reason: str) -> None:
        for process in (*self.process.children(recursive=True), self.process):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        raise Stopped(reason)


@contextmanager
def _session(limits: Limits, forbidden: list[Path], folder: str) -> Iterator[_Session]:
    settings = {
        "memory": limits.address_space,
        "file_size": limits.file_size,
        "forbidden": [str(path.resolve()) for path in forbidden],
    }
    command = [sys.executable, str(KERNEL), "{connection_file}"]
    manager = KernelManager(transport="ipc", ip=f"{folder}/kernel")
    manager._kernel_spec = KernelSpec(argv=command, display_name="graded", language="python")
    # Nothing of the teacher's environment but what programs need; libraries keep files in `folder`.
    keep = ("PATH", "LD_LIBRARY_PATH", "LANG", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment |= {
        "GRADER": json.dumps(settings),
        "HOME": folder,
        "IPYTHONDIR": folder,
        "MPLCONFIGDIR": folder,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
    }
    manager.start_kernel(cwd=folder, env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield _Session(manager, client, limits)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        # Opened by jupyter_client for this thread, and left to the garbage collector.
        ensure_event_loop().close()
