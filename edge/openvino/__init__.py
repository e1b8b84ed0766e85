"""The computing by OpenVINO, from the same GGUF files that llama.cpp reads."""
