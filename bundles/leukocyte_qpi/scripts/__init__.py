"""Networks, readers, preprocessing and phantoms of the leukocyte bundle."""
