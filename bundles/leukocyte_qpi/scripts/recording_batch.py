"""Many recordings, worked on in parallel, each remembered when it is done."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.crop_files import CropFiles
from scripts.extraction import CellExtraction, ExtractedCells
from shared.data.errors import DataError
from shared.data.file_names import safe_name
from shared.data.files import read_json, write_json
from shared.data.integrity import Exclusion
from shared.data.preparation import fingerprint
from shared.data.processes import in_processes

__all__ = ["extract_recordings"]

_Result = tuple[list[dict[str, Any]], list[Exclusion]]


def extract_recordings(
    extraction: CellExtraction, files: Sequence[Path], output: Path, workers: int = 1, progress: bool = True
) -> _Result:
    """Extract the cells of many recordings whose names give class and donor.

    What a recording gave is kept in ``state/recordings`` and reused while the recording does not
    change. A recording that cannot be used is left out with the reason, and the rest goes on.

    Args:
        extraction: how crops are made.
        files: the recordings.
        output: folder that receives ``crops``, ``truth`` and ``state``; crops there of other recordings are removed.
        workers: number of processes.
        progress: whether to show a progress bar.

    Returns:
        Records with ``donor`` and either ``label`` (name of the class) or ``kind``, and what was left out; both in
        the order of ``files``.

    Raises:
        DataError: if two recordings have the same name.
    """
    names = [extraction.reader.name(path) for path in files]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"several recordings are called {', '.join(repeated)}; give each a name of its own")
    results: dict[int, _Result] = {}
    with tqdm(total=len(files), desc="preparing", unit="recording", disable=not progress) as bar:
        for index, result in in_processes(partial(_extract_one, extraction, output), files, workers):
            results[index] = result
            bar.update()
    for folder in (output / "crops", output / "truth"):
        for stale in (
            set(folder.iterdir()) - {folder / CropFiles.folder_of(name) for name in names} if folder.is_dir() else ()
        ):
            shutil.rmtree(stale)
    return (
        [record for index in range(len(files)) for record in results[index][0]],
        [exclusion for index in range(len(files)) for exclusion in results[index][1]],
    )


def _extract_one(extraction: CellExtraction, output: Path, path: Path) -> _Result:
    state = output / "state" / "recordings" / f"{safe_name(extraction.reader.name(path))}.json"
    known_by = [str(path), *fingerprint(path)]
    if state.is_file():
        before = read_json(state)
        if before["fingerprint"] == known_by:
            return before["records"], [Exclusion(*item) for item in before["excluded"]]
    try:
        identity = extraction.reader.identify(path)
        result = extraction.extract(path, output, identity.label, identity.kind)
        group = {"label": identity.label} if identity.label else {"kind": identity.kind}
        records = [{**record, **group, "donor": identity.donor} for record in result.records]
    except DataError as error:
        result, records = ExtractedCells(excluded=[Exclusion(path.name, "recording", str(error))]), []
    excluded = [astuple(item) for item in result.excluded]
    write_json(state, {"fingerprint": known_by, "records": records, "excluded": excluded})
    return records, result.excluded
