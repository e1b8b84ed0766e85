"""What all graphs for OpenVINO share: their words, and how they are kept and run."""
