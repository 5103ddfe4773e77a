"""Layer-wise relevance propagation through any network of affine steps, rectifiers, pooling and rearrangements."""

from shared.saliency.lrp.lrp import LRP

__all__ = ["LRP"]
