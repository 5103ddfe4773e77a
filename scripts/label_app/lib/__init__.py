"""What the MONAI Label app is made of. It runs in its own environment and never imports the project's package."""
