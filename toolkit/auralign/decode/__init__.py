"""Stage 4: let the model answer questions about speech, and the LLM alone the same questions about text."""
