"""The JSON that comes with a request in ``params``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.errors import RequestError

__all__ = ["InferParameters", "check_lasting", "read_object"]

#: of MONAI Label's own clients and viewers, which mean nothing to a classifier of whole images
IGNORED = frozenset(
    [
        "client_id",
        "device",
        "gpus",
        "multi_gpu",
        "max_workers",
        "max_batch_size",
        "logging",
        "label_tag",
        "save_label",
        "images",
        "result_extension",
        "result_dtype",
        "result_compress",
        "result_write_to_file",
        "location",
        "size",
        "level",
        "tile_size",
        "min_poly_area",
        "wsi",
        "output",
        "annotations",
        "bbox",
        "description",
    ]
)
ATTRIBUTES = ("age", "lymphocyte_count", "sex", "patient", "donor")


def read_object(text: str | None, what: str = "params") -> dict[str, Any]:
    """Return the JSON object that a form field holds; an empty one for an empty field.

    Raises:
        RequestError: if it is none.
    """
    if not text:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{what}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise RequestError(f"{what}: expected a JSON object, found {type(content).__name__}")
    check_lasting(content, what)
    return content


def check_lasting(content: Any, what: str = "params") -> None:
    """Make sure that what a request brings can be written and read again.

    Python reads NaN, infinity and half a character (a lone surrogate) where JSON and UTF-8 have none. With one of them
    in the datastore's records a server could neither list them nor start with them.

    Raises:
        RequestError: if it holds one of these.
    """
    try:
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{what}: not JSON ({error})") from error


@dataclass(frozen=True)
class InferParameters:
    """What a request for an answer says besides the image.

    Args:
        explain: whether an explanation is wanted; None for what the form of the answer needs.
        method: that explains; None for the bundle's default.
        target_class: that is explained; None for the one that the bundle explains by itself.
        file: which file of the explanation is sent.
        attributes: of the patient: age, lymphocyte count.
    """

    explain: bool | None = None
    method: str | None = None
    target_class: str | None = None
    file: str = "overlay_png"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_json(cls, content: Mapping[str, Any], ignored: Collection[str] = IGNORED) -> InferParameters:
        """Return the parameters of a request.

        Raises:
            RequestError: naming a key that there is not, or a value of another type.
        """
        types = {"explain": bool, "method": str, "target_class": str, "file": str}
        known: dict[str, Any] = {}
        attributes: dict[str, Any] = {}
        for key, value in content.items():
            if key in types:
                if value is not None and not isinstance(value, types[key]):
                    raise RequestError(f"params: {key} is {value!r}, expected {_NAMES[types[key]]}")
                if value is not None:
                    known[key] = value
            elif key in ATTRIBUTES:
                if isinstance(value, bool) or not isinstance(value, int | float | str):
                    raise RequestError(f"params: {key} is {value!r}, expected a number or text")
                attributes[key] = value
            elif key not in ignored:
                expected = ", ".join([*types, *ATTRIBUTES])
                raise RequestError(f"params: unknown key {key[:100]!r}, expected some of {expected}")
        return cls(**known, attributes=attributes)


_NAMES = {bool: "true or false", str: "text"}
