"""Which bundles are served: those that were named, or all that are trained and calibrated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lib.errors import StartError

__all__ = ["ServedModel", "find_models", "left_out"]

COMMANDS = {
    "model.pt": "python -m monai.bundle run training --config_file {configs}/train.json",
    "calibration.json": (
        "python -m monai.bundle run calibrating --config_file \"['{configs}/train.json','{configs}/calibrate.json']\""
    ),
}
ARCHIVE = ".zip"


@dataclass(frozen=True)
class ServedModel:
    """A bundle as its folder describes it; nothing of it is loaded in this process.

    Args:
        folder: of the bundle.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Name of the bundle, and of the model in requests."""
        return self.folder.name

    @property
    def weights(self) -> Path:
        """The file of the weights that answer."""
        return self.folder / "models" / "model.pt"

    @cached_property
    def serving(self) -> dict[str, Any]:
        """The section ``serving`` of ``configs/serve.json``."""
        content = json.loads((self.folder / "configs" / "serve.json").read_text(encoding="utf-8"))
        section: dict[str, Any] = content["serving"]
        return section

    @property
    def takes_folders(self) -> bool:
        """Whether one answer needs several images: they come in an archive or a session."""
        return bool(self.serving["takes_folders"])

    @property
    def keeps_output(self) -> bool:
        """Whether what was computed of an image is worth keeping, as the features of a slide are."""
        return bool(self.serving["keeps_output"])

    @property
    def image_suffixes(self) -> list[str]:
        """Suffixes of the images, in small letters."""
        return list(self.serving["staging"]["suffixes"])

    @property
    def upload_suffixes(self) -> list[str]:
        """Suffixes of a file that one request or one entry of the datastore may be."""
        return [ARCHIVE] if self.takes_folders else self.image_suffixes

    def missing(self) -> dict[str, str]:
        """Return the command that writes each file that is not there, by the file."""
        configs = self.folder / "configs"
        return {
            str(self.folder / "models" / name): command.format(configs=configs)
            for name, command in COMMANDS.items()
            if not (self.folder / "models" / name).is_file()
        }


def find_models(bundles: Path, named: str | None) -> dict[str, ServedModel]:
    """Return the bundles to serve, by name.

    Args:
        bundles: folder of the bundles.
        named: names with commas between them; None for all that are trained and calibrated.

    Raises:
        StartError: if a named bundle is none, or lacks its model or its calibration, or if there is nothing to serve.
    """
    known = _known(bundles)
    names = [name.strip() for name in (named or "").split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        found = ", ".join(known) or "none"
        raise StartError(f"{bundles}: no bundle {unknown[0]!r} that can be served; found {found}")
    incomplete = [model for name, model in known.items() if (not names or name in names) and model.missing()]
    if names and incomplete:
        raise StartError("models that are to be served are not complete:\n" + "\n".join(map(_advice, incomplete)))
    served = {name: known[name] for name in names or known if not known[name].missing()}
    if not served:
        raise StartError(f"{bundles}: no bundle is trained and calibrated:\n" + "\n".join(map(_advice, incomplete)))
    return served


def left_out(bundles: Path) -> list[str]:
    """Return of each bundle that is not served when none is named what it lacks, and the commands that write it.

    Args:
        bundles: folder of the bundles.
    """
    return [f"{name} is not served:\n{_advice(model)}" for name, model in _known(bundles).items() if model.missing()]


def _known(bundles: Path) -> dict[str, ServedModel]:
    found = sorted(path.parents[1] for path in bundles.glob("*/configs/serve.json"))
    return {folder.name: ServedModel(folder) for folder in found}


def _advice(model: ServedModel) -> str:
    return "\n".join(f"  {file} is missing; write it with\n    {command}" for file, command in model.missing().items())
