"""What ``--conf KEY VALUE`` sets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.archives import ArchiveLimits
from lib.errors import StartError

__all__ = ["AppSettings"]

REPOSITORY = Path(__file__).resolve().parents[3]
#: keys that MONAI Label itself reads, or clients are used to giving
OF_MONAI_LABEL = ("zoo_source", "server_mode")
MIB = 1 << 20


@dataclass(frozen=True)
class AppSettings:
    """Settings of the app.

    Args:
        models: names of bundles with commas between them; None for all that are trained and calibrated.
        bundles: folder of the bundles.
        python: interpreter of the project's environment, in which the bundles run.
        hosts: names by which the server may be addressed; empty for any.
        max_upload: bytes of a request.
        archive: limits of ZIP archives.
        timeout: seconds that an answer may take.
    """

    models: str | None = None
    bundles: Path = REPOSITORY / "bundles"
    python: str = str(REPOSITORY / ".venv" / "bin" / "python")
    hosts: tuple[str, ...] = ()
    max_upload: int = 1024 * MIB
    archive: ArchiveLimits = field(default_factory=ArchiveLimits)
    timeout: float = 600.0

    @classmethod
    def of_conf(cls, conf: Mapping[str, str]) -> AppSettings:
        """Return the settings of a command line.

        ====================== =================================================================
        key                    value
        ====================== =================================================================
        ``models``             names with commas between them
        ``bundles``            folder
        ``python``             interpreter
        ``hosts``              names with commas between them
        ``max_upload_mb``      of a request
        ``max_archive_mb``     of an archive, unpacked
        ``max_archive_files``  members of an archive
        ``timeout_s``          of an answer
        ====================== =================================================================

        Raises:
            StartError: for another key, or a number that is none.
        """
        known = ("models", "bundles", "python", "hosts", *NUMBERS)
        for key in conf:
            if key not in known and key not in OF_MONAI_LABEL:
                close = difflib.get_close_matches(key, known, n=1)
                advice = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
                raise StartError(f"--conf {key}: there is no such setting; {advice}")
        numbers = {key: _number(key, conf.get(key, str(default))) for key, default in NUMBERS.items()}
        hosts = tuple(name.strip() for name in conf.get("hosts", "").split(",") if name.strip())
        return cls(
            models=conf.get("models") or None,
            bundles=Path(conf.get("bundles", cls.bundles)).resolve(),
            python=conf.get("python", cls.python),
            hosts=hosts,
            max_upload=int(numbers["max_upload_mb"] * MIB),
            archive=ArchiveLimits(int(numbers["max_archive_files"]), int(numbers["max_archive_mb"] * MIB)),
            timeout=numbers["timeout_s"],
        )


NUMBERS = {"max_upload_mb": 1024, "max_archive_mb": 1024, "max_archive_files": 5000, "timeout_s": 600}


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise StartError(f"--conf {key} {text}: expected a positive number")
    return value
