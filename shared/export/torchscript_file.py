"""Networks as TorchScript files, as ``monai.bundle ckpt_export`` writes them, with the calibration beside."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import torch
from monai.data.torchscript_utils import save_net_with_metadata

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.export.form import ExportForm
from shared.export.onnx_file import logit_difference

__all__ = ["write_torchscript"]


def write_torchscript(
    form: ExportForm, documents: Mapping[str, str], path: str | os.PathLike[str], tolerance: float
) -> float:
    """Write a scripted network with its documents as extra files, and try it.

    MONAI's own readers (``monai.data.load_net_with_metadata``) read the file.

    Args:
        form: what is written; the weights are loaded.
        documents: what travels with it, see :mod:`shared.export.documents`.
        path: the file.
        tolerance: greatest difference of a logit from the network's own, as a share of it where it is above 1.

    Returns:
        The greatest difference found.

    Raises:
        DataError: if the logits differ by more than the tolerance; nothing is written then.
    """
    further = {name: text.encode() for name, text in documents.items() if name != "metadata.json"}
    network = form.torchscript.eval()
    with atomic_path(path) as temporary, torch.no_grad():
        save_net_with_metadata(
            torch.jit.script(network),
            str(temporary),
            meta_values=json.loads(documents["metadata.json"]),
            more_extra_files=further,
        )
        image = form.draw({"batch": 2, "instances": 3}, seed=0)[0]
        difference = logit_difference(torch.jit.load(str(temporary))(image), network(image))
        if not difference <= tolerance:
            raise DataError(
                f"{path}: not written, the scripted network's logits differ by {difference:.2g}, expected at most "
                f"{tolerance:g}"
            )
    return difference
