"""UIDs of results: the same image judged by the same model with the same settings has the same ones, in every run."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from highdicom import UID

from shared import __version__
from shared.data.files import sha256_file
from shared.saliency.base import Attribution
from shared.saliency.transparency.description import plain_parameters

__all__ = ["ResultUids", "hashed_uid"]


def hashed_uid(digest: bytes) -> UID:
    """Return ``2.25.<n>`` with n a UUID (RFC 9562, version 8) made of the first 16 bytes of a hash (PS3.5, B.2)."""
    content = bytearray(digest[:16])
    content[6], content[8] = content[6] & 0x0F | 0x80, content[8] & 0x3F | 0x80
    return UID(f"2.25.{uuid.UUID(bytes=bytes(content)).int}")


@dataclass(frozen=True)
class ResultUids:
    """UIDs that follow from what a result is made of, by SHA-256.

    A repeated run then replaces its files and is known to an archive that has them; a new calibration, other weights,
    settings or another version of this software give results of their own beside the older ones.

    Args:
        made_with: what else the results depend on, of JSON types.
    """

    made_with: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        model_file: str | os.PathLike[str],
        calibration_file: str | os.PathLike[str],
        method: Attribution,
        **settings: Any,
    ) -> ResultUids:
        """Return the UIDs of what a model, its calibration and a method that draws the maps say.

        Args:
            model_file: the weights.
            calibration_file: what was fitted to them.
            method: with its parameters.
            **settings: others that the results depend on.

        Raises:
            FileNotFoundError: if a file is missing.
        """
        made_with = {
            "software": __version__,
            "weights_sha256": sha256_file(model_file),
            "calibration_sha256": sha256_file(calibration_file),
            "method": plain_parameters(method),
            "settings": settings,
        }
        return cls(made_with)

    def uid(self, source: str, kind: str) -> UID:
        """Return the UID of one thing that is made of an image.

        Args:
            source: SOPInstanceUID of the image, or its pseudonym.
            kind: of the thing, e.g. ``report``.
        """
        said = json.dumps([self.made_with, str(source), kind], sort_keys=True)
        return hashed_uid(hashlib.sha256(said.encode()).digest())
