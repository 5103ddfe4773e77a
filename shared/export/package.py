"""A bundle as one zip in the form of MONAI's Model Zoo: configs, docs, licence, code, weights and what belongs to them.

The archive is called ``<bundle>_v<version>.zip`` and holds one folder of the bundle's name, which runs wherever this
project's package is installed. ``large_files.yml`` lists the weights as the Model Zoo does: ``path``, ``url``,
``hash_val`` and ``hash_type``; ``monai.bundle download_large_files`` reads it. Without their weights, a package is what
is handed in to the Model Zoo, which fetches them by their URLs.

Equal bundles give equal archives: entries are sorted and have a fixed date.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.data.errors import DataError
from shared.data.files import atomic_path, read_json, sha256_file

__all__ = ["LARGE_FILES", "large_files", "stage_bundle", "write_package"]

LARGE_FILES = "large_files.yml"
HASH_TYPE = "sha256"
#: folders that are taken whole, but for caches, and single files
FOLDERS, FILES = ("configs", "docs", "scripts"), ("LICENSE",)
#: of ``models``: the weights, and the exports if there are any ...
WEIGHTS = ("model.pt", "model.onnx", "model.ts")
#: ... and what was fitted to them, small enough to be in the archive always
CALIBRATION = ("calibration.json", "outlier_statistics.npz")
NEEDED = ("configs/metadata.json", "configs/inference.json", "docs/README.md", "LICENSE")
DATE = (1980, 1, 1, 0, 0, 0)


def stage_bundle(
    root: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    models: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Copy what a package holds to a folder, with settings that become the package's own.

    Args:
        root: of the bundle.
        folder: to copy to.
        models: folder of the trained model.
        settings: values in place of those in the configs, for a model that was trained with others; a key is replaced
            in every config that has it.

    Returns:
        The folder of the copy, which has the bundle's name.

    Raises:
        DataError: if something that belongs to a bundle is missing, there is no trained and calibrated model, or no
            config has a key of the settings.
    """
    source, trained = Path(root), Path(models)
    if missing := [name for name in NEEDED if not (source / name).is_file()]:
        raise DataError(f"{source}: has no {', '.join(missing)}; expected a bundle")
    for name, station in (("model.pt", "training"), ("calibration.json", "calibrating")):
        if not (trained / name).is_file():
            raise DataError(f"{trained / name}: no such file; run the bundle's {station} before it is packaged")
    target = Path(folder) / source.name
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(source / name, target / name, ignore=ignore)
    for name in FILES:
        shutil.copy(source / name, target / name)
    (target / "models").mkdir()
    for name in (*WEIGHTS, *CALIBRATION):
        if (trained / name).is_file():
            shutil.copy(trained / name, target / "models" / name)
    _settle(target / "configs", settings or {})
    return target


def large_files(folder: str | os.PathLike[str], url: str | None) -> list[dict[str, str]]:
    """Return the entries of ``large_files.yml`` for a bundle's folder.

    Args:
        folder: of the bundle.
        url: where its files can be fetched; each one's own is ``<url>/<path>``. ``None`` leaves the entries empty.
    """
    root = Path(folder)
    return [
        {
            "path": f"models/{name}",
            "url": f"{url.rstrip('/')}/models/{name}" if url else "",
            "hash_val": sha256_file(root / "models" / name),
            "hash_type": HASH_TYPE,
        }
        for name in WEIGHTS
        if (root / "models" / name).is_file()
    ]


def write_package(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    url: str | None = None,
    with_weights: bool = True,
) -> Path:
    """Write the archive of a staged bundle.

    Args:
        folder: of the bundle, as :func:`stage_bundle` makes it; gets its ``large_files.yml``.
        output: folder for the archive.
        url: see :func:`large_files`.
        with_weights: whether the weights are in the archive, or only listed.

    Returns:
        The archive's path.

    Raises:
        DataError: if the weights are to be left out and there is no URL to fetch them from.
    """
    root = Path(folder)
    if not with_weights and not url:
        raise DataError("a package without weights needs the URL that they are fetched from; give --url")
    listed = large_files(root, url)
    (root / LARGE_FILES).write_text(_yaml(listed), encoding="utf-8")
    left_out = set() if with_weights else {entry["path"] for entry in listed}
    version = read_json(root / "configs" / "metadata.json")["version"]
    target = Path(output) / f"{root.name}_v{version}.zip"
    with (
        atomic_path(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for path in _files(root):
            place = path.relative_to(root).as_posix()
            if place not in left_out:
                entry = zipfile.ZipInfo(f"{root.name}/{place}", DATE)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return target


def _files(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in root.rglob("*") if path.is_file())


def _settle(configs: Path, settings: Mapping[str, Any]) -> None:
    """Replace settings in every config that has them as keys of its own."""
    unknown = set(settings)
    for path in sorted(configs.glob("*.json")):
        content = read_json(path)
        if path.name == "metadata.json" or not (own := settings.keys() & content.keys()):
            continue
        unknown -= own
        content |= {key: settings[key] for key in own}
        path.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
    if unknown:
        raise DataError(f"{', '.join(sorted(unknown))}: no config of the bundle has such a key; look for a misspelling")


def _yaml(entries: list[dict[str, str]]) -> str:
    """Return the list as YAML; a string of JSON is one of YAML."""
    lines = ["large_files:"]
    for entry in entries:
        texts = [f"{key}: {json.dumps(value)}" for key, value in entry.items()]
        lines += [f"  - {texts[0]}", *(f"    {text}" for text in texts[1:])]
    return "\n".join(lines) + "\n"
