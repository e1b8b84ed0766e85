"""Anthropic's Messages API: /v1/messages.

Source: Anthropic's API reference, "Messages", "Count tokens" and "Streaming". A field
that would change the answer and is not supported is refused by its name.
"""
