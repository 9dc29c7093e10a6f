"""Tiny models of the real classes in the real format, and audio, for tests without a network."""
