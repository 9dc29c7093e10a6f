"""The model folder: a trained connector with all that is needed to use it again, made to be published.

    auralign export hparams/sift.yaml my_model        # in a recipe's folder, after stage 3
    auralign ask my_model a.wav b.flac "what was said?"

    model = auralign.load("my_model")
    model.answer("a.wav", "what was said? {speech}")

`trainable.safetensors` holds the weights, `auralign.json` names encoder, LLM and connector, `README.md` is the model card.
The folder is data: `load` runs no code that came with it, and calls only constructors of `auralign.models`. Encoder and LLM are
identified by the hash of their content and by a path from the folder, or by name alone if that path would reveal a home folder.
The user who exported the model need not give their paths: the cache remembers them.
"""
