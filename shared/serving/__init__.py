"""A bundle as a service: a process that keeps it loaded, runs its stations on request and reads what they wrote."""
