"""Networks, source layouts, preparing and phantoms of the lymphocytosis bundle."""
