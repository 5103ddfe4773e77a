"""What a bundle says of itself to those who ask it: classes, methods, accepted files, weights and their calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from shared.calibration.calibration_file import read_calibration
from shared.data.errors import DataError
from shared.saliency.titles import method_title
from shared.saliency.transparency.method_rules import METHOD_RULES
from shared.serving.staging import Staging
from shared.serving.station import load_scripts

__all__ = ["EXPLAINING", "INFERRING", "ServedBundle"]

INFERRING = ("inference",)
EXPLAINING = ("inference", "explain", "serve")


@dataclass(frozen=True)
class ServedBundle:
    """One bundle with its trained model, in a process that has no other.

    Args:
        root: of the bundle; its ``scripts`` are loaded.
        ckpt_dir: folder of the weights and of their calibration.

    Raises:
        DataError: if there is no bundle that can be served, or another one is loaded already.
    """

    root: Path
    ckpt_dir: Path

    @classmethod
    def of(cls, folder: Path, ckpt_dir: Path | None = None) -> ServedBundle:
        """Return a bundle by its folder, with the weights in its ``models`` unless another folder is named."""
        root = folder.resolve()
        if not (root / "configs" / "serve.json").is_file():
            raise DataError(f"{root}: no configs/serve.json, expected the folder of a bundle that can be served")
        load_scripts(root)
        return cls(root, (ckpt_dir or root / "models").resolve())

    @property
    def name(self) -> str:
        """The bundle's name, that of its folder."""
        return self.root.name

    @property
    def model_file(self) -> Path:
        """The weights."""
        return self.ckpt_dir / "model.pt"

    @property
    def calibration_file(self) -> Path:
        """What was fitted to the weights."""
        return self.ckpt_dir / "calibration.json"

    @cached_property
    def parser(self) -> ConfigParser:
        """The config by which the bundle explains what it is asked, not run."""
        parser = ConfigParser()
        parser.read_config([str(self.root / "configs" / f"{name}.json") for name in EXPLAINING])
        parser["ckpt_dir"] = str(self.ckpt_dir)
        parser.parse()
        return parser

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes, or of the findings."""
        return list(self.parser.get_parsed_content("classes"))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The section ``serving`` of ``serve.json``, with its objects."""
        return {key: self.parser.get_parsed_content(f"serving#{key}") for key in self.parser["serving"]}

    @property
    def staging(self) -> Staging:
        """Lays items out as the bundle reads them."""
        staging: Staging = self.settings["staging"]
        return staging

    @cached_property
    def methods(self) -> dict[str, str]:
        """Titles of the methods that explain, by name; controls explain nothing and are not served."""
        return {name: method_title(name) for name in self.parser["explain"]["methods"] if not self._is_control(name)}

    @property
    def default_method(self) -> str:
        """The method that explains if a request names none."""
        return str(self.parser.get_parsed_content("method"))

    def check(self) -> dict[str, Any]:
        """Return what clients need to know, after making sure that the model can be used.

        Raises:
            DataError: if weights or calibration are missing, or do not belong together.
        """
        calibration = read_calibration(self.calibration_file, self.model_file)
        metadata = self.parser.get_parsed_content("metadata")
        return {
            "bundle": self.name,
            "version": metadata["version"],
            "weights_sha256": calibration["weights_sha256"],
            "classes": self.classes,
            "unit": self.settings["unit"],
            "multi_label": self.settings["multi_label"],
            "choosable_target": self.settings["choosable_target"],
            "accepts": dict(self.staging.describe()),
            "methods": self.methods,
            "default_method": self.default_method,
            "intended_use": metadata["intended_use"],
        }

    def model(self) -> Mapping[str, str]:
        """Return what identifies the model that answers: bundle, version, hash of the weights."""
        said = self.check()
        return {key: said[key] for key in ("bundle", "version", "weights_sha256")}

    def _is_control(self, name: str) -> bool:
        config = self.parser["explain"]["methods"][name]
        while isinstance(config, str) and config.startswith("@"):
            config = self.parser[config.removeprefix("@")]
        rule = METHOD_RULES.get(str(config["_target_"]).rpartition(".")[2])
        return rule is not None and rule.control
