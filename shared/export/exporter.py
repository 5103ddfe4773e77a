"""The export of a trained bundle: weights loaded, calibration checked, file written and tried."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from shared.data.errors import DataError
from shared.export.documents import OutputKind, export_documents
from shared.export.form import ExportForm
from shared.export.onnx_file import write_onnx
from shared.export.torchscript_file import write_torchscript
from shared.training.weights import load_weights

__all__ = ["Exporter", "Format"]

Format = Literal["onnx", "torchscript"]


class Exporter:
    """Writes a bundle's network with its calibration.

    Args:
        network: on the processor; its weights are loaded from ``model_file``.
        form: of that network.
        bundle: name of the bundle.
        classes: names of the classes.
        kind: of the output, see :data:`~shared.export.documents.OutputKind`.
        metadata: content of the bundle's ``metadata.json``.
        model_file: the weights.
        calibration_file: their calibration.
        file: to be written.
        format: ``onnx`` or ``torchscript``.
        settings: values, by their keys in the calibration, that the network is exported with.
        with_calibration: whether the calibration travels along; without it there are no probabilities that can be
            trusted.
        opset: version of ONNX's operators.
        tolerance: greatest difference of a logit from the bundle's own, as a share of it where it is above 1.

    Raises:
        DataError: if there is no such format.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        form: ExportForm,
        *,
        bundle: str,
        classes: Sequence[str],
        kind: OutputKind,
        metadata: Mapping[str, Any],
        model_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        file: str | os.PathLike[str],
        format: Format = "onnx",  # noqa: A002 - the name of the config's key
        settings: Mapping[str, Any] | None = None,
        with_calibration: bool = True,
        opset: int = 18,
        tolerance: float = 1e-4,
    ) -> None:
        if format not in get_args(Format):
            raise DataError(f"export_format is {format!r}, expected one of {', '.join(get_args(Format))}")
        self.network = network
        self.form = form
        self.bundle = bundle
        self.classes = list(classes)
        self.kind: OutputKind = kind
        self.metadata = metadata
        self.model_file = Path(model_file)
        self.calibration_file = Path(calibration_file) if with_calibration else None
        self.file = Path(file)
        self.format = format
        self.settings = dict(settings or {})
        self.opset = opset
        self.tolerance = tolerance

    def run(self) -> Path:
        """Write the file; return its path.

        Raises:
            DataError: if weights or calibration are missing or do not belong together, the network cannot be exported,
                or the file does not compute what the bundle computes.
        """
        load_weights(self.network, self.model_file)
        documents = export_documents(
            self.form,
            bundle=self.bundle,
            classes=self.classes,
            kind=self.kind,
            metadata=self.metadata,
            model_file=self.model_file,
            calibration_file=self.calibration_file,
            settings=self.settings,
        )
        if self.format == "onnx":
            difference = write_onnx(self.form, documents, self.file, self.opset, self.tolerance)
        else:
            difference = write_torchscript(self.form, documents, self.file, self.tolerance)
        calibrated = "without calibration" if self.calibration_file is None else "with its calibration"
        print(f"{self.file}: {calibrated}; logits within {difference:.1e} of the bundle's")  # noqa: T201
        return self.file
