"""The command `edge`: one module per command."""
