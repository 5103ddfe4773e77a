"""Requests that bring files or names: checked before anything of MONAI Label sees them."""
