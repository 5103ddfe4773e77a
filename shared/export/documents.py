"""What travels with an exported network: JSON documents, in ONNX as metadata, in TorchScript as extra files.

==================== ==================================================================================
document             content
==================== ==================================================================================
``metadata.json``    the bundle's own: classes, input, preprocessing, intended use and limits
``calibration.json`` the bundle's own, whole: temperature or scales, thresholds, the hash of the weights
``export.json``      bundle, version, hash of the weights, kind of the output, classes, inputs, outputs
==================== ==================================================================================

What calibrating fitted to more than the logits (outlier statistics, alarms on saliency maps) needs more than the
network's outputs: it stays with the bundle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from shared import __version__
from shared.calibration.calibration_file import read_calibration
from shared.data.errors import DataError
from shared.data.files import sha256_file
from shared.export.form import ExportForm

__all__ = ["OutputKind", "export_documents"]

#: ``classes``: a logit of each class, of which one is true; ``one_logit``: that of the second of two classes;
#: ``labels``: a logit of each label, any of which are true
OutputKind = Literal["classes", "one_logit", "labels"]


def export_documents(
    form: ExportForm,
    *,
    bundle: str,
    classes: Sequence[str],
    kind: OutputKind,
    metadata: Mapping[str, Any],
    model_file: str | os.PathLike[str],
    calibration_file: str | os.PathLike[str] | None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the documents by name, as JSON.

    Args:
        form: what is exported.
        bundle: name of the bundle.
        classes: names of the classes; of two for one logit.
        kind: of the output.
        metadata: content of the bundle's ``metadata.json``.
        model_file: the weights that are exported.
        calibration_file: their calibration; ``None`` leaves the document out.
        settings: values, by their keys in the calibration, that the network is exported with.

    Raises:
        DataError: if the weights are missing, the calibration is missing or belongs to other weights, classes or
            settings, or there is no such kind of output.
    """
    if kind not in get_args(OutputKind):
        raise DataError(f"output_kind is {kind!r}, expected one of {', '.join(get_args(OutputKind))}")
    if kind == "one_logit" and len(classes) != 2:
        raise DataError(f"one logit is that of the second of two classes, found {len(classes)}: {', '.join(classes)}")
    found = {}
    if calibration_file is not None:
        content = read_calibration(calibration_file, model_file, {"classes": list(classes), **(settings or {})})
        found["calibration.json"] = _json(content)
    export = {
        "bundle": bundle,
        "bundle_version": metadata.get("version"),
        "written_by": f"monai-explainable-bundles {__version__}",
        "weights_sha256": sha256_file(model_file),
        "output_kind": kind,
        "classes": list(classes),
        "inputs": {given.name: list(given.axes) for given in form.inputs},
        "outputs": list(form.outputs),
    }
    return {"metadata.json": _json(metadata), **found, "export.json": _json(export)}


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)
