"""OpenAI's older API for texts: /v1/completions.

Source: the OpenAI API reference, "Completions". The model goes on with the prompt as it
is, without a chat template: one that was trained to chat answers better in
/v1/chat/completions. Names of control tokens in the prompt are text.
"""
