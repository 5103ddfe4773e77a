"""What answers ``/train``."""
