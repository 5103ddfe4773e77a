"""What answers ``/infer``."""
