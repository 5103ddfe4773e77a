"""Saving weights so that equal ones make equal files, and loading them with errors that say what to do."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten

import torch
from ignite.engine import Engine, Events

from shared.data.errors import DataError
from shared.data.files import atomic_path, restore_folder

__all__ = ["WeightsLoader", "load_weights", "save_weights"]


def save_weights(state: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Write a state dict, atomically, so that equal weights give files of equal hash.

    ``torch.save`` puts the name of the file that it writes to inside of it, which here is a temporary one; written to
    memory first, all files have the same name there. Calibrations are bound to the file's hash.

    Args:
        state: state dict of tensors.
        path: the file.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_weights(network: torch.nn.Module, path: str | os.PathLike[str]) -> torch.nn.Module:
    """Load a state dict into a network, strictly, on whatever device the network is.

    Args:
        network: the network, not wrapped for several GPUs.
        path: file with a state dict of tensors.

    Returns:
        The same network, in evaluation mode.

    Raises:
        DataError: if the file is missing, cannot be read, or belongs to another network.
    """
    file = Path(path)
    restore_folder(file.parent)
    if not file.is_file():
        raise DataError(f"{file}: no such weights; run the bundle's training, or set model_file to a trained model")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types, depending on where the file is damaged
        raise DataError(
            f"{file}: not readable as a state dict of tensors ({error}); restore it or train anew"
        ) from error
    try:
        network.load_state_dict(state)
    except DataError as error:  # of a network that keeps its settings among its weights
        raise DataError(f"{file}: {error}") from error
    except (RuntimeError, AttributeError, TypeError) as error:
        # the cause lists every parameter, over a hundred lines for a large network: one of them tells as much
        raise DataError(
            f"{file}: these weights are not those of {type(network).__name__} with these settings: "
            f"{_difference(error)}; give what the model was trained with, e.g. --network_name, or the further config "
            "that training had"
        ) from None
    return network.eval()


def _difference(error: Exception) -> str:
    """Return the first difference that PyTorch names, in brief, and how many kinds or parameters follow."""
    first, *more = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
    return shorten(first, 200, placeholder=" …") + (f" (and {len(more)} more)" if more else "")


class WeightsLoader:
    """Ignite handler that loads trained weights when an engine starts; see :func:`load_weights`.

    Args:
        network: the network, not wrapped for several GPUs.
        path: file with a state dict of tensors.
    """

    def __init__(self, network: torch.nn.Module, path: str | os.PathLike[str]) -> None:
        self.network = network
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Attach to an engine, before handlers that use the weights."""
        if not engine.has_event_handler(self, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, _: Engine) -> None:
        """Load the weights."""
        load_weights(self.network, self.path)
