"""What a start decides, from settings, model files and the machine."""
