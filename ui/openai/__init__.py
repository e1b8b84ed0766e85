"""The bodies of the OpenAI API, and what their fields mean here.

Source: the OpenAI API reference, "Create chat completion"; the fields of other servers
as vLLM's and llama-server's documents describe them. A field that would change the
answer and is not supported is refused by its name; other unknown fields are ignored.
"""
