"""From logits to the next token of an answer: on numpy, for all runtimes."""
