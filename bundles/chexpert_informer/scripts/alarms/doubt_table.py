"""The table that all alarms are made of: collected once per split, kept as one file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.findings import FINDINGS
from shared.data.errors import DataError
from shared.data.files import atomic_path

__all__ = ["DISTANCES", "Doubts"]

Floats = NDArray[np.float64]

# what a method's distances are called among named arrays
DISTANCES = "distances_"


@dataclass(frozen=True)
class Doubts:
    """What the network and its maps say of N images and K findings.

    Attributes:
        id: name of each image ``(N,)``, text.
        patient: patient of each image ``(N,)``, text.
        logits: single-pass logits ``(N, K)``.
        label: 0, 1, or NaN where unknown, ``(N, K)``.
        distances: by saliency method, the cosine distances between the findings' maps ``(N, K, K)``; see
            :func:`scripts.alarms.distinctiveness.cosine_distances`.
        tta_std: standard deviation of the logits over test-time augmentations ``(N, K)``, or ``None``.
        mc_std: the same over Monte Carlo dropout samples ``(N, K)``, or ``None``.
        classes: names of the findings.

    Raises:
        DataError: if a shape does not fit, or a value is not allowed.
    """

    id: NDArray[np.str_]
    patient: NDArray[np.str_]
    logits: Floats
    label: Floats
    distances: Mapping[str, Floats] = field(default_factory=dict)
    tta_std: Floats | None = None
    mc_std: Floats | None = None
    classes: tuple[str, ...] = FINDINGS

    def __post_init__(self) -> None:
        n, k = len(self.id), len(self.classes)
        own: dict[str, object] = {"classes": tuple(str(name) for name in self.classes)}
        for name in ("id", "patient"):
            own[name] = _checked(name, np.asarray(getattr(self, name), dtype=np.str_), (n,))
        for name in ("logits", "label", "tta_std", "mc_std"):
            values = getattr(self, name)
            if values is not None:
                own[name] = _checked(name, np.asarray(values, dtype=np.float64), (n, k))
        own["distances"] = {
            name: _checked(f"distances of {name}", np.asarray(values, dtype=np.float64), (n, k, k))
            for name, values in self.distances.items()
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)
        if len(np.unique(self.id)) != n:
            raise DataError(f"doubts: {n} images have {len(np.unique(self.id))} distinct ids; an id occurs once")
        for name in ("logits", "tta_std", "mc_std"):
            values = getattr(self, name)
            if values is not None and not np.isfinite(values).all():
                image = self.id[int((~np.isfinite(values)).any(axis=1).argmax())]
                raise DataError(f"doubts: {name} of {image} is not finite; check the network and its input")
        if not (np.isnan(self.label) | np.isin(self.label, (0.0, 1.0))).all():
            raise DataError("doubts: labels must be 0, 1 or NaN (unknown)")

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> Doubts:
        """Return the table of some images."""
        return replace(
            self,
            id=self.id[chosen],
            patient=self.patient[chosen],
            logits=self.logits[chosen],
            label=self.label[chosen],
            distances={name: values[chosen] for name, values in self.distances.items()},
            tta_std=None if self.tta_std is None else self.tta_std[chosen],
            mc_std=None if self.mc_std is None else self.mc_std[chosen],
        )

    def method_distances(self, method: str) -> Floats:
        """Return the distances of one saliency method ``(N, K, K)``.

        Raises:
            DataError: if they were not collected.
        """
        if method not in self.distances:
            raise DataError(f"doubts: no maps of {method!r} were collected, found {sorted(self.distances) or 'none'}")
        return self.distances[method]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as ``.npz``, atomically."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("distances", "classes")}
        arrays |= {DISTANCES + name: values for name, values in self.distances.items()}
        arrays["classes"] = np.array(self.classes, dtype=np.str_)
        with atomic_path(path) as temporary, Path(temporary).open("wb") as stream:
            np.savez_compressed(stream, **{name: values for name, values in arrays.items() if values is not None})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Doubts:
        """Read what :meth:`save` wrote; nothing in the file can run code.

        Raises:
            DataError: if the file is missing, is no such file, or its content is not valid.
        """
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file; calibrating or evaluating writes it")
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: not a file of doubts ({error}); write it anew") from error
        missing = sorted({"id", "patient", "logits", "label", "classes"} - set(arrays))
        if missing:
            raise DataError(f"{path}: not a file of doubts, {', '.join(missing)} missing; write it anew")
        distances = {name.removeprefix(DISTANCES): arrays.pop(name) for name in [*arrays] if name.startswith(DISTANCES)}
        classes = tuple(arrays.pop("classes").tolist())
        return cls(distances=distances, classes=classes, **arrays)

    @classmethod
    def concatenate(cls, parts: Sequence[Doubts]) -> Doubts:
        """Put tables of the same findings, methods and draws one after the other.

        Raises:
            DataError: if the tables do not hold the same columns.
        """
        first = parts[0]
        for part in parts[1:]:
            if part._columns() != first._columns():
                raise DataError(f"doubts: tables hold different columns, {first._columns()} and {part._columns()}")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("id", "patient", "logits", "label", "tta_std", "mc_std")
            if getattr(first, name) is not None
        }
        distances = {name: np.concatenate([part.distances[name] for part in parts]) for name in first.distances}
        return cls(distances=distances, classes=first.classes, **joined)

    def _columns(self) -> tuple[object, ...]:
        return self.classes, sorted(self.distances), self.tta_std is not None, self.mc_std is not None


def _checked(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if values.shape != shape:
        raise DataError(f"doubts: {name} must be of shape {shape}, found {values.shape}")
    return values
