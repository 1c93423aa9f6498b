"""The kernel in which submissions run: limits first, then a plain IPython kernel.

Started by :mod:`coursework.run` as a script. It keeps honest mistakes and common mischief from
doing harm: writing or reading where it should not, new processes, connections, signals to others,
and replacing the functions that tests rely on. Python cannot be locked from within: whoever fears
more than that should grade in a container (see the page for instructors).
"""

import builtins
import json
import math
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

CHANGED = "The submission replaced functions that the tests use: "
# What tests decide by. Not all of torch: it replaces some of its own functions when first used.
DECIDING = ("abs", "all", "allclose", "any", "array_equal", "equal", "isclose", "isfinite", "isnan")
KEPT = (
    *((module, name) for module in (builtins, math) for name in dir(module)),
    *((module, name) for module in (np, torch) for name in DECIDING),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PROCESSES = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
    "subprocess.Popen",
}  # fmt: skip
REMOVAL = {"os.remove", "os.rename", "os.rmdir", "os.chmod", "os.link", "os.symlink",
           "os.truncate", "shutil.rmtree", "shutil.move"}  # fmt: skip


def guard(forbidden: list[str], allowed: str) -> None:
    """Refuse, from now on, what no answer to an assignment needs.

    Args:
        forbidden: Folders that may not even be read: solutions, other submissions, grades.
        allowed: The one folder that may be written to.
    """

    def inside(path: Any, folder: str) -> bool:
        where = os.path.realpath(os.fsdecode(path))
        return where == folder or where.startswith(folder + os.sep)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in PROCESSES:
            raise PermissionError("the grader starts no other programs")
        if event == "socket.connect":
            raise PermissionError("the grader has no network")
        if event in {"os.kill", "os.killpg"} and args[0] != os.getpid():
            raise PermissionError("the grader sends no signals")
        if event in REMOVAL and not inside(args[0], allowed):
            raise PermissionError(f"the grader leaves {args[0]} as it is")
        if event in {"open", "os.listdir", "os.scandir"} and isinstance(args[0], str | bytes):
            path = args[0]
            if any(inside(path, folder) for folder in forbidden):
                raise PermissionError(f"the grader does not open {os.fsdecode(path)}")
            mode, flags = (*args, "r", 0)[1:3] if event == "open" else ("r", 0)
            writes = set(mode or "") & set("wax+") or (mode is None and flags & WRITING)
            if writes and not inside(path, allowed) and os.fsdecode(path) != os.devnull:
                raise PermissionError(f"the grader does not write {os.fsdecode(path)}")

    sys.addaudithook(audit)


def restore(kept: list[tuple[Any, str, object]]) -> list[str]:
    """Put back what was replaced, and say what it was."""
    changed = []
    for module, name, value in kept:
        if getattr(module, name, None) is not value:
            setattr(module, name, value)
            changed.append(f"{module.__name__}.{name}")
    return changed


class GradedKernel(IPythonKernel):
    """An IPython kernel that keeps the libraries of the tests as they were."""

    async def execute_request(self, *args: Any, **options: Any) -> None:
        """Run a cell; afterwards put back what it replaced, and print what that was."""
        await super().execute_request(*args, **options)
        changed = restore(self.kept)
        if changed:
            # To the cell's own output: the parent header is still that of the request.
            print(CHANGED + ", ".join(changed))
            sys.stdout.flush()


def main() -> None:
    """Set the limits and run the kernel."""
    settings = json.loads(os.environ.pop("GRADER"))
    sys.dont_write_bytecode = True
    for limit, value in (
        (resource.RLIMIT_AS, settings["memory"]),
        (resource.RLIMIT_FSIZE, settings["file_size"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    GradedKernel.kept = [
        (module, name, getattr(module, name))
        for module, name in KEPT
        if not name.startswith("_") and hasattr(module, name)
    ]
    app = IPKernelApp.instance(kernel_class=GradedKernel)
    app.initialize(["-f", sys.argv[1], "--HistoryManager.enabled=False"])
    guard(settings["forbidden"], str(Path.cwd().resolve()))
    app.start()


if __name__ == "__main__":
    main()
