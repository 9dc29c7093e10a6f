"""Frozen encoders, connectors, frozen LLMs, and the model that puts them together."""
