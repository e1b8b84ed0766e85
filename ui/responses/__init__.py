"""OpenAI's Responses API: /v1/responses.

Source: the OpenAI API reference, "Responses" and "Streaming events". A field that would
change the answer and is not supported is refused by its name.
"""
