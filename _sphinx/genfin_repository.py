"""Buttons that open a chapter elsewhere, and the line that installs the library: one setting.

`repository: url` in ``_config.yml`` says where the book's files can be fetched. Where it is empty,
a GitHub workflow knows its own repository, so that a fork publishes buttons that lead to the fork.
Without either the book has no such buttons: it asks nobody for anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

SERVICES = {
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
    "notebook_interface": "jupyterlab",
}
WITHOUT_COLAB = {key: value for key, value in SERVICES.items() if key != "colab_url"}
HOSTS = ("https://github.com/", "https://gitlab.com/")  # where the theme knows what to link to
UNKNOWN = "https://github.com/OWNER/REPOSITORY"


def address(setting: str, environment: Mapping[str, str]) -> str:
    """The repository's address: as set, or that of the workflow that runs, or none."""
    server, name = (environment.get(f"GITHUB_{key}", "") for key in ("SERVER_URL", "REPOSITORY"))
    return (setting or (f"{server}/{name}" if server and name else "")).rstrip("/")


def options(url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The theme's options with the buttons that the address allows."""
    if not url.startswith(HOSTS):
        return dict(given)
    return {
        **given,
        "repository_url": url,
        "repository_branch": given.get("repository_branch") or "main",
        "use_repository_button": True,
        "launch_buttons": SERVICES if url.startswith(HOSTS[0]) else WITHOUT_COLAB,
    }


def configure(app: Sphinx, config: Config) -> None:
    url = address(config.html_theme_options.get("repository_url") or "", os.environ)
    config.html_theme_options = options(url, config.html_theme_options)
    config.myst_substitutions = {
        **config.myst_substitutions,
        "install_line": f"`%pip install --quiet git+{url or UNKNOWN}`",
    }


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", configure, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
