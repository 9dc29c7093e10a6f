"""What a model's connector makes of frames, without a view around it."""


def hear(model, frames, lengths):
    """Embeddings (U, D) of each utterance, from its frames (B, T, D) and lengths (B,) of the main branch."""
    embeddings, lengths, _ = model.connector(frames, lengths, None)
    return [row[:length] for row, length in zip(embeddings, lengths.tolist(), strict=True)]
