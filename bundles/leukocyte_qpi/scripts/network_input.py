"""The one chain of transforms from a prepared crop to the network's input, for training and everything after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.transforms import Compose, EnsureChannelFirstd, Lambda, LoadImaged, SelectItemsd, ToTensord

from scripts.preprocessing import NormalisePhased
from shared.data.errors import DataError

__all__ = ["network_input"]


def network_input(phase_range: Sequence[float], keys: Sequence[str] = ("image", "label")) -> Compose:
    """Return the transforms from a record to what the network and its evaluators need of it.

    Args:
        phase_range: phases in radians that become 0 and 1. Nothing is cut off: with (0, 1) the network sees radians,
            which it learns from sooner than from a range that holds all phases.
        keys: keys of the record that are kept, ``image`` among them.

    Returns:
        Transform from a record, whose ``image`` is the path of a NumPy file ``(H, W)`` in radians, to a dictionary
        whose ``image`` is a tensor ``(1, H, W)``. It raises :class:`DataError` for an image that is not finite.
    """
    return Compose(
        [
            LoadImaged("image", reader="NumpyReader", image_only=True, dtype="float32"),
            Lambda(_require_finite),
            EnsureChannelFirstd("image", channel_dim="no_channel"),
            NormalisePhased("image", (phase_range[0], phase_range[1]), clip=False),
            ToTensord("image", track_meta=False),
            SelectItemsd(list(keys)),
        ]
    )


def _require_finite(record: Mapping[str, Any]) -> Mapping[str, Any]:
    if not np.isfinite(record["image"]).all():
        raise DataError(
            f"{record.get('id', 'an image')}: its crop holds NaN or infinite values, expected finite phases in "
            "radians; take it out of the datalist or prepare the data anew"
        )
    return record
