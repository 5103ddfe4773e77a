"""What the alarms are worth, on real radiographs and on phantoms: ``python scripts/reproduce.py chexpert_informer``."""
