"""What answers ``/activelearning``."""
