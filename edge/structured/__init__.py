"""Structured output: which tokens keep an answer within its JSON schema."""
