"""Networks as ONNX files, published only if ONNX Runtime computes from them what the bundle computes."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.utils import optional_import

from shared.data.errors import DataError
from shared.data.files import atomic_path
from shared.export.form import ExportForm

__all__ = ["compare_onnx", "logit_difference", "write_onnx"]

INSTALL = "install them with: pip install 'monai-explainable-bundles[export]'"
#: sizes of the named axes: what an export is traced with, none of them 1, which would be taken for a constant ...
TRACED_SIZES: Mapping[str, int] = {"batch": 2, "instances": 3}
#: ... and what it is tried with
TRIED_SIZES: Sequence[Mapping[str, int]] = (
    {"batch": 1, "instances": 1},
    {"batch": 1, "instances": 7},
    {"batch": 3, "instances": 4},
)


def write_onnx(
    form: ExportForm,
    documents: Mapping[str, str],
    path: str | os.PathLike[str],
    opset: int,
    tolerance: float,
) -> float:
    """Write a network as one ONNX file, and try it.

    Args:
        form: what is written; the weights are loaded.
        documents: what travels with it, see :mod:`shared.export.documents`; becomes metadata of the file.
        path: the file.
        opset: version of ONNX's operators.
        tolerance: greatest difference of a logit from the bundle's own, see :func:`compare_onnx`.

    Returns:
        The greatest difference found.

    Raises:
        DataError: if a package is missing, or ONNX Runtime's logits differ by more than the tolerance; nothing is
            written then.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if not optional_import(package)[1]:
            raise DataError(f"format onnx needs onnx, onnxscript and onnxruntime, found no {package}; {INSTALL}")
    program = _traced(form, opset)
    program.model.metadata_props.update(documents)
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)
        difference = compare_onnx(form, temporary)
        if not difference <= tolerance:
            raise DataError(
                f"{path}: not written, ONNX Runtime's logits differ from the bundle's by {difference:.2g}, expected at "
                f"most {tolerance:g}; raise export_tolerance if that is acceptable"
            )
    return difference


def compare_onnx(
    form: ExportForm, path: str | os.PathLike[str], sizes: Sequence[Mapping[str, int]] = TRIED_SIZES
) -> float:
    """Return the greatest difference of logits between ONNX Runtime and the bundle, on random inputs.

    A logit z differs by ``|z' − z| / max(1, |z|)``: random inputs may be far from what a network was trained on, and
    rounding grows with the logit. Samples, where there are any, are compared as well. NaN, if anything is not finite.

    Args:
        form: of the network.
        path: its ONNX file.
        sizes: of the named axes, for each trial.
    """
    runtime, _ = optional_import("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    greatest = 0.0
    for seed, chosen in enumerate(sizes):
        values = form.draw(chosen, seed)
        given = {place.name: value.numpy() for place, value in zip(form.inputs, values, strict=True)}
        found = session.run(list(form.outputs), given)
        with torch.no_grad(), _evaluating(form):
            traced = form.onnx(*values)
            wanted = [form.reference(*values), *(traced[1:] if isinstance(traced, tuple) else ())]
        pairs = [logit_difference(torch.from_numpy(got), want) for want, got in zip(wanted, found, strict=True)]
        greatest = float(np.max([greatest, *pairs]))
    return greatest


def logit_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the greatest ``|z' − z| / max(1, |z|)`` of two tensors of logits; NaN, if one is not finite.

    Example:
        >>> logit_difference(torch.tensor([0.5, 99.0]), torch.tensor([0.25, 100.0]))
        0.25
    """
    return float(((found - expected).abs() / expected.abs().clamp_min(1)).max())


def _traced(form: ExportForm, opset: int) -> Any:
    """Return the ONNX program of a form."""
    axes = [{place: axis for place, axis in enumerate(one.axes) if isinstance(axis, str)} for one in form.inputs]
    with _evaluating(form), _quietly():
        return torch.onnx.export(
            form.onnx,
            form.draw(TRACED_SIZES, seed=0),
            dynamo=True,
            input_names=[given.name for given in form.inputs],
            output_names=list(form.outputs),
            dynamic_shapes=tuple(axes),
            opset_version=opset,
            external_data=False,
            verbose=False,
        )


@contextmanager
def _evaluating(form: ExportForm) -> Iterator[None]:
    """Put the network into evaluation mode for a while."""
    modes = {module: module.training for module in form.onnx.modules()}
    form.onnx.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back what the exporter says to its own developers: of missing torchvision, and of axes of one name."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
