"""What a Qwen3-VL is: chat template, picture grid, positions. Pure."""
