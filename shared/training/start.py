"""The first item of every bundle command: checked settings, seeding, and errors that end in what the user can mend."""

from __future__ import annotations

import os
import sys
from types import TracebackType

import torch
import torch.distributed
from monai.utils import set_determinism

from shared.data.errors import DataError
from shared.data.freed_memory import keep_freed_memory
from shared.training.settings_check import calling_parser, check_settings
from shared.training.tracking import track_loss_of_batches

__all__ = ["TRACEBACK", "data_error_behind", "is_main_process", "start_distributed_run", "start_run"]

#: environment variable: set to 1, errors about data and settings keep their traceback
TRACEBACK = "MONAI_TRACEBACK"


def start_run(seed: int, keep_memory: bool = False) -> None:
    """Seed Python, NumPy and torch, and have a :class:`DataError` that nobody catches end the process with its message.

    A bundle's config builds its objects lazily, and MONAI wraps whatever goes wrong there into errors that name the
    config's expression. The message that names the user's file would stand far up in some sixty lines of traceback. It
    is printed alone, unless :data:`TRACEBACK` asks for all; of every other error the traceback is. The exit status is
    that of any error.

    Called from a config, it first checks that config's settings.

    Args:
        seed: seed of the run, not negative.
        keep_memory: whether memory that is freed stays with the process, see
            :func:`~shared.data.freed_memory.keep_freed_memory`: for training, whose steps are all alike, not for a
            server or for inputs of many sizes.

    Raises:
        DataError: if a setting has no effect, is a number out of range or names a class that does not exist, see
            :func:`~shared.training.settings_check.check_settings`.
    """
    _check_calling_config()
    if keep_memory:
        keep_freed_memory()
    set_determinism(seed=seed)


def start_distributed_run(backend: str, device: torch.device, seed: int) -> None:
    """Join the process group that ``torchrun`` made, and start as :func:`start_run` does.

    Every process seeds alike, so that all begin with the same weights; what must differ between them (the order of
    the samples) comes from the sampler.

    Args:
        backend: ``nccl`` for GPUs, ``gloo`` for CPUs.
        device: the process's device.
        seed: seed of the run, not negative.

    Raises:
        DataError: as :func:`start_run`, before anything is joined.
    """
    _check_calling_config()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(backend)
    set_determinism(seed=seed)


def is_main_process() -> bool:
    """Tell whether this process writes what only one may write: rank 0, or the only process."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def data_error_behind(error: BaseException | None) -> DataError | None:
    """Return the first :class:`DataError` in an error's chain of causes, or None.

    Example:
        >>> wrapped = RuntimeError("failed to evaluate")
        >>> wrapped.__cause__ = DataError("train.csv: no such file")
        >>> data_error_behind(wrapped)
        DataError('train.csv: no such file')
    """
    while error is not None and not isinstance(error, DataError):
        error = error.__cause__ or error.__context__
    return error


def _check_calling_config() -> None:
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print_for_the_user
    if (parser := calling_parser()) is not None:
        check_settings(parser)
        track_loss_of_batches(parser)


def _print_for_the_user(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("\nInterrupted. What was written is whole; the same command goes on.", file=sys.stderr)  # noqa: T201
        return
    behind = data_error_behind(error)
    if behind is None or not _caused_by(error, behind) or os.environ.get(TRACEBACK, "0") not in ("", "0"):
        sys.__excepthook__(kind, error, traceback)
    if behind is not None:
        print(f"\nError: {behind}", file=sys.stderr)  # noqa: T201 - what the user is to read


def _caused_by(error: BaseException | None, cause: BaseException) -> bool:
    """Tell whether an error is another, or was raised from it; one that came up while that was handled is a new one."""
    while error is not None and error is not cause:
        error = error.__cause__
    return error is cause
