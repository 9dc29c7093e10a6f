"""Models that others made, as `auralign evaluate` asks them: speech LLMs of transformers, and endpoints with OpenAI's interface.

    model = open_endpoint("http://127.0.0.1:8000/v1", name="my_model")
    model.answer([Prompt("Repeat: ", samples, "")])           # [Reply(text='...', finish_reason='stop')]

An adapter is an `OtherModel`: it has a name, a hash of what its answers depend on, and `answer`.
"""

from auralign.adapters.other_model import OtherModel, Prompt, Reply
from auralign.adapters.places import MODEL_TYPES, is_address, open_endpoint, open_folder, type_of

__all__ = [
    "MODEL_TYPES",
    "OtherModel",
    "Prompt",
    "Reply",
    "is_address",
    "open_endpoint",
    "open_folder",
    "type_of",
]
