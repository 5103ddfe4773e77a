"""What the commands of a person share: the bundle that a command line names, and its settings."""
