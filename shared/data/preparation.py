"""What was prepared in a folder, from what and with which settings, so that nothing is done twice or mixed up."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.data.datalist import load_section, write_datalist
from shared.data.differences import tell_differences
from shared.data.errors import DataError
from shared.data.files import read_json, sha256_file, write_json

__all__ = ["PreparedFolder", "fingerprint"]

_STATE = Path("state") / "preparation.json"


def fingerprint(path: str | os.PathLike[str]) -> list[int]:
    """Return size and time of change of a file, by which a source file is known again without reading it."""
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]


@dataclass
class PreparedFolder:
    """The output folder of a preparation.

    Args:
        output: the folder that receives ``datalist.json``.
        source: the file or folder that is prepared.
        files: the files of the source.
        settings: everything else the result depends on; only what JSON can hold counts.
        written: names of all files and folders in ``output`` that the preparation writes.
        sections: sections of the datalist.
    """

    output: Path
    source: Path
    files: Sequence[Path]
    settings: Mapping[str, Any]
    written: Sequence[str]
    sections: Sequence[str]

    @property
    def datalist(self) -> Path:
        """The datalist."""
        return self.output / "datalist.json"

    def clear(self) -> None:
        """Remove all that a preparation writes, and nothing else."""
        for name in (*self.written, _STATE.parent.name):
            path = self.output / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def is_complete(self) -> bool:
        """Return whether the datalist is that of this source and these settings, and all files are there.

        If not all are there, or files of the source changed, what was kept from an earlier call remains for reuse. What
        is left of an unfinished preparation from another source or with other settings is removed.

        Raises:
            DataError: if the folder was prepared from another source or with other settings, or by something else.
        """
        state = self.output / _STATE
        if not state.is_file():
            if present := [name for name in self.written if (self.output / name).exists()]:
                raise DataError(
                    f"{self.output}: holds {', '.join(present)} of unknown origin; use --overwrite to replace them, "
                    "or another --output"
                )
            return False
        before, now = read_json(state), self._describe()
        changed = tell_differences(*({"source": one["source"], **one["settings"]} for one in (before, now)))
        if changed and not before["complete"] and not self.datalist.exists():
            self.clear()
            return False
        if changed:
            raise DataError(
                f"{self.output}: use --overwrite to prepare it anew, or another --output; it was prepared otherwise "
                f"({changed})"
            )
        if not before["complete"] or before["files"] != now["files"] or not self.datalist.is_file():
            return False
        if sha256_file(self.datalist) != before["datalist_sha256"]:
            raise DataError(f"{self.datalist}: was changed after it was prepared; use --overwrite to prepare it anew")
        try:
            for section in self.sections:
                load_section(self.datalist, section)
        except DataError:
            shutil.rmtree(state.parent)  # the notes of what is done are wrong, since files are gone
            return False
        return True

    def fill(
        self,
        collect: Callable[[], tuple[Mapping[str, Sequence[Mapping[str, Any]]], Mapping[str, Any]]],
        classes: Sequence[str],
        overwrite: bool = False,
    ) -> bool:
        """Write the datalist, unless it is already that of this source and these settings.

        Args:
            collect: returns the records of each section and what the datalist says about itself.
            classes: names of the classes in the order of the labels.
            overwrite: begin anew, whatever was prepared there.

        Returns:
            Whether an earlier preparation was found complete, so that nothing was done.

        Raises:
            DataError: see :meth:`is_complete`.
        """
        if overwrite:
            self.clear()
        if self.is_complete():
            return True
        self.begin()
        sections, info = collect()
        write_datalist(self.datalist, sections, classes, info)
        self.finish()
        return False

    def begin(self) -> None:
        """Note that a preparation of this source began, and take an older datalist away."""
        write_json(self.output / _STATE, {**self._describe(), "complete": False})
        self.datalist.unlink(missing_ok=True)

    def finish(self) -> None:
        """Note that the datalist is complete."""
        write_json(
            self.output / _STATE,
            {**self._describe(), "complete": True, "datalist_sha256": sha256_file(self.datalist)},
        )

    def _describe(self) -> dict[str, Any]:
        root = self.source if self.source.is_dir() else self.source.parent
        description = {
            # relative, so that source and output can be moved together
            "source": Path(os.path.relpath(self.source.resolve(), self.output.resolve())).as_posix(),
            "settings": self.settings,
            "files": {path.relative_to(root).as_posix(): fingerprint(path) for path in self.files},
        }
        return json.loads(json.dumps(description))
