"""What ends with the server: processes that work for it, and the folder of its passing files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from monailabel.utils.async_tasks import utils as background

__all__ = ["end_background_work", "passing_files"]


@contextmanager
def passing_files() -> Iterator[None]:
    """Have all passing files of this process and of those that it starts in one folder, removed at the end.

    They hold images of patients, and a training that is stopped leaves its own behind.
    """
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = tempfile.mkdtemp(prefix="label-server-")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    try:
        yield
    finally:
        tempfile.tempdir = before[0]
        if before[1] is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before[1]
        shutil.rmtree(folder, ignore_errors=True)


def end_background_work() -> None:
    """End trainings, scoring and judging of many images; MONAI Label would wait for them, and begin queued ones."""
    for executor in background.background_executors.values():
        executor.shutdown(wait=False, cancel_futures=True)
    for method in list(background.background_processes):
        background.stop_background_task(method)
