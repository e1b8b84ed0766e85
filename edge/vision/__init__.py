"""Seeing: where a picture's tokens sit, and the towers that read them."""
