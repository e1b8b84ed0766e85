"""Computing prompts beside llama.cpp: keys and values of all their tokens at once."""
