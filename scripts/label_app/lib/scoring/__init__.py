"""What answers ``/scoring``."""
