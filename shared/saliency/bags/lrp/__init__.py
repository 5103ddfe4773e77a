"""Layer-wise relevance propagation through a bag classifier."""

from shared.saliency.bags.lrp.lrp import BagLRP

__all__ = ["BagLRP"]
