"""What became of a slide, and the features of its first tiles, kept on disk until the slide is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data.file_names import safe_name
from shared.data.files import atomic_path, read_json, write_json

__all__ = ["BrokenTile", "FeatureParts", "SlideState"]


@dataclass(frozen=True)
class BrokenTile:
    """A tile that could not be read.

    Args:
        x: left edge in pixels of level 0.
        y: upper edge.
        reason: why.
    """

    x: int
    y: int
    reason: str


@dataclass
class SlideState:
    """The state of one slide, a small file.

    Args:
        slide_id: name of the slide.
        key: hash of all that its features depend on.
        status: ``running``, ``done`` or ``failed``.
        attempts: how often it was begun since features were last added.
        reason: why it failed.
        tiles: number of tiles with features.
        broken: tiles that could not be read.
        seconds: spent waiting for the readers, in the transfer to the device, in the encoder, and in writing.
    """

    slide_id: str
    key: str
    status: str = "running"
    attempts: int = 0
    reason: str = ""
    tiles: int = 0
    broken: list[BrokenTile] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def file(output: Path, slide_id: str) -> Path:
        """Return where the state of a slide is kept."""
        return output / "state" / "slides" / f"{safe_name(slide_id)}.json"

    @classmethod
    def read(cls, output: Path, slide_id: str, key: str) -> SlideState:
        """Return the state of a slide; a new one, if there is none, or it is of other settings or another file."""
        file = cls.file(output, slide_id)
        if file.is_file():
            content: dict[str, Any] = read_json(file)
            if content.get("key") == key:
                return cls(**{**content, "broken": [BrokenTile(**tile) for tile in content["broken"]]})
        return cls(slide_id, key)

    @property
    def unreadable(self) -> str:
        """How many tiles of a slide that is used could not be read, and why the first of them; empty if all could."""
        if not self.broken:
            return ""
        first, number = self.broken[0], len(self.broken)
        return (
            f"{number} of {self.tiles + number} tiles cannot be read, the first at x {first.x}, y {first.y}: "
            f"{first.reason}; the slide is used without them"
        )

    def write(self, output: Path) -> None:
        """Keep the state."""
        write_json(self.file(output, self.slide_id), asdict(self))


class FeatureParts:
    """Features of a slide's tiles, one file for some batches, so that an interrupted slide goes on where it was.

    Each file is written atomically: whenever the power goes, what is there is whole.

    Args:
        output: the folder that is prepared.
        slide_id: name of the slide.
        key: hash of all that its features depend on; parts of another are removed.
    """

    def __init__(self, output: Path, slide_id: str, key: str) -> None:
        self.output = output
        self.folder = output / "state" / "parts" / safe_name(slide_id)
        self._key_file = self.folder / "key.json"
        if self.folder.exists() and not (self._key_file.is_file() and read_json(self._key_file) == key):
            shutil.rmtree(self.folder)
        write_json(self._key_file, key)
        self._files: list[Path] = []
        self.next_batch, self.tiles, self.broken = 0, 0, list[BrokenTile]()
        for file in sorted(self.folder.glob("part-*.npz")):
            with np.load(file) as part:
                if int(part["first"]) != self.next_batch:
                    break
                self._note(file, int(part["next"]), len(part["coords"]), _broken(part))

    def add(
        self,
        next_batch: int,
        features: NDArray[np.float16],
        coords: NDArray[np.int64],
        labels: NDArray[np.float32],
        broken: list[BrokenTile],
    ) -> None:
        """Keep the features of the batches up to, and without, ``next_batch``."""
        file = self.folder / f"part-{self.next_batch:08d}.npz"
        with atomic_path(file) as temporary:
            np.savez(
                temporary,
                first=self.next_batch,
                next=next_batch,
                features=features,
                coords=coords,
                labels=labels,
                broken=np.array([(tile.x, tile.y) for tile in broken], dtype=np.int64).reshape(-1, 2),
                reasons=np.array([tile.reason for tile in broken], dtype=np.str_),
            )
        self._note(file, next_batch, len(coords), broken)

    def __iter__(self) -> Iterator[tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.float32]]]:
        """Yield features, coords and tile labels of each part."""
        for file in self._files:
            with np.load(file) as part:
                if len(part["coords"]):
                    yield part["features"], part["coords"], part["labels"]

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _note(self, file: Path, next_batch: int, tiles: int, broken: list[BrokenTile]) -> None:
        self._files.append(file)
        self.next_batch = next_batch
        self.tiles += tiles
        self.broken += broken


def _broken(part: Any) -> list[BrokenTile]:
    return [
        BrokenTile(int(x), int(y), str(reason)) for (x, y), reason in zip(part["broken"], part["reasons"], strict=True)
    ]
