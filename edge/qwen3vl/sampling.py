"""How Qwen3-VL's authors sample answers that should differ from one another.

Source: `generation_config.json` and the model card of Qwen3-VL-2B-Instruct ("Generation
Hyperparameters", vision language).
"""

RECOMMENDED = {
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "presence_penalty": 1.5,
}
