"""Asks: users, pictures, questions, and the measuring client."""
