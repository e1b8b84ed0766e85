"""Models on this machine: known names, files, downloads, and which files are a pair."""
