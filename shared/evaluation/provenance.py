"""Where a result comes from: code, versions, seed, command, data and weights.

Nothing private enters: of a path outside the working directory only the last part is kept, and neither the user's nor
the machine's name is recorded.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from shared.data.files import sha256_file

__all__ = ["PACKAGES", "command_line", "provenance"]

PACKAGES = (
    "monai-explainable-bundles",
    "monai",
    "torch",
    "pytorch-ignite",
    "captum",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
)

# "/" or a drive letter that begins a path, not the slash within one or within an address such as https://host
ABSOLUTE_PATH = re.compile(r"""(?<![\w./\\~-])(?:/(?=[^\s/])|[A-Za-z]:[\\/]|~[\w.-]*/)[^\s'",;\[\](){}=]*""")


def provenance(
    seed: int | None,
    data_files: Iterable[str | os.PathLike[str]] = (),
    weight_files: Iterable[str | os.PathLike[str]] = (),
    *,
    packages: Sequence[str] = PACKAGES,
    argv: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Collect the provenance of a result, ready for JSON.

    Args:
        seed: the seed of the run; ``None`` if it had none.
        data_files: files that say which data were used (the data list); hashed.
        weight_files: model files that were used; hashed.
        packages: distributions whose versions are recorded; ``None`` for one that is not installed.
        argv: the command; by default the one of this process.

    Returns:
        ``date`` (ISO 8601, UTC), ``command``, ``seed``, ``git_revision`` (``None`` outside a clone of the project, with
        ``+changes`` if tracked files were changed), ``python``, ``platform``, ``packages``, ``data`` and ``weights``
        (lists of ``{"file", "sha256"}``).

    Raises:
        FileNotFoundError: if a file to be hashed does not exist.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command_line(argv),
        "seed": seed,
        "git_revision": _git_revision(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in packages},
        "data": [_hashed(path) for path in data_files],
        "weights": [_hashed(path) for path in weight_files],
    }


def command_line(argv: Sequence[str] | None = None) -> str:
    """Return the command as one would type it, without absolute paths.

    Args:
        argv: program and arguments; by default those of this process.

    Example:
        >>> print(command_line(["/opt/run.py", "--source", "/mnt/ward 7/slides", "--config=['/x/a.json','b.json']"]))
        run.py --source slides "--config=['a.json','b.json']"
    """
    program, *arguments = sys.argv if argv is None else argv
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if argv is None and spec is not None:
        program = "python -m " + spec.name.removesuffix(".__main__")
    else:
        program = _quoted(Path(program).name)
    return " ".join([program, *(_quoted(_without_absolute_paths(argument)) for argument in arguments)])


def _quoted(argument: str) -> str:
    if argument and shlex.quote(argument) == argument:
        return argument
    return f'"{argument}"' if "'" in argument and not set(argument) & set('"$`\\') else shlex.quote(argument)


def _without_absolute_paths(argument: str) -> str:
    option, separator, value = argument.rpartition("=") if argument.startswith("-") else ("", "", argument)
    if ABSOLUTE_PATH.match(value) and not re.search(r"""['",\[\]]""", value):
        # one path, perhaps with spaces in it
        return option + separator + _relative(value)
    quoted = re.sub(r"""(['"])([^'"]*)\1""", lambda found: found[1] + _relative(found[2]) + found[1], argument)
    return ABSOLUTE_PATH.sub(lambda found: _relative(found[0]), quoted)


def _relative(text: str) -> str:
    """Return an absolute path relative to the working directory if it lies below, else its last part."""
    if not ABSOLUTE_PATH.match(text):
        return text
    path = Path(os.path.normpath(text))
    if path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd()).as_posix()
    return re.split(r"[\\/]", text.rstrip("\\/"))[-1]


def _hashed(path: str | os.PathLike[str]) -> dict[str, str]:
    return {"file": _relative(str(Path(path).absolute())), "sha256": sha256_file(path)}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Return the revision of the clone that this file runs from, if it does."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=20
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # installed into an environment that lies inside some other project's clone, this file is not tracked there
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    revision, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    return f"{revision}+changes" if revision and changes else revision
