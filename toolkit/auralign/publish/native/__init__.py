"""Models in the layout of other software: speech LLMs of transformers, and vLLM's Ultravox.

    auralign export exp/voxtral_parts my_model --as voxtral

    model = VoxtralForConditionalGeneration.from_pretrained("my_model")     # without auralign

The folder holds encoder, connector and LLM. A run is exported only if its parts are those of the class; its logits are compared
with those of the run before the folder is kept.
"""
