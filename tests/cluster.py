"""A cluster on this machine, for what is to run on one unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import pytest


@contextmanager
def dask_cluster(*, workers: int = 1, threads: int = 1, processes: bool = False) -> Iterator[None]:
    """Joblib on Dask; without processes its scheduler and serialisation are real all the same."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=processes,
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        yield
