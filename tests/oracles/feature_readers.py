"""What other programs take from feature files, after the code by which each loads them.

Where that code casts or falls back (missing attributes, other units) these do not: what it would guess is an error.
"""

import h5py
import numpy as np
import torch


def read_clam(folder, slide):
    """``Generic_MIL_Dataset`` with ``pt_files`` and with ``h5_files``, and ``Whole_Slide_Bag_FP`` on ``patches``."""
    tensor = torch.load(folder / "pt_files" / f"{slide}.pt", weights_only=True)
    with h5py.File(folder / "h5_files" / f"{slide}.h5", "r") as file:
        features, coords = file["features"][:], file["coords"][:]
    # its networks have float32 weights and do not cast
    assert tensor.dtype == torch.float32
    assert features.dtype == np.float32
    assert np.array_equal(tensor.numpy(), features)
    with h5py.File(folder / "patches" / f"{slide}.h5", "r") as file:
        assert np.array_equal(file["coords"][:], coords)
        stated = dict(file["coords"].attrs)
    assert np.issubdtype(coords.dtype, np.integer)
    assert stated["name"] == slide
    # pixels of the level that are read at a place of level 0
    side = stated["patch_size"] * stated["downsample"][0]
    assert stated["patch_level"] == 0
    return features, coords, side


def read_trident(path):
    """``WSI.extract_slide_features``, and what ``read_coords`` and the drawing of heat-maps take from ``coords``."""
    with h5py.File(path, "r") as file:
        features, coords, stated = file["features"][:], file["coords"][:], dict(file["coords"].attrs)
        encoder = file["features"].attrs["encoder"]
    assert features.ndim == 2
    assert coords.dtype == np.int64
    ratio = stated["level0_magnification"] / stated["target_magnification"]
    assert abs(stated["patch_size"] * ratio - stated["patch_size_level0"]) < 1e-6 * stated["patch_size_level0"]
    return torch.from_numpy(features).float().numpy(), coords, stated, encoder


def read_stamp(path):
    """``detect_feature_type``, ``BagDataset`` and ``get_coords`` of version 2."""
    with h5py.File(path, "r") as file:
        assert str(file.attrs.get("feat_type")) == "tile"
        features, coords_um = file["feats"][:], file["coords"][:]
        # the first of its two keys is only for files of version 2.0
        assert "tile_size" not in file.attrs
        assert file.attrs["unit"] == "um"
        side_um, side_px = float(file.attrs["tile_size_um"]), int(file.attrs["tile_size_px"])
        encoder = file.attrs["extractor"]
    return torch.from_numpy(features).float().numpy(), coords_um, side_um, side_um / side_px, encoder
