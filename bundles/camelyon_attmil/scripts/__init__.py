"""Slides, tiles and features, annotations, preparing and phantoms of the whole-slide bundle."""
