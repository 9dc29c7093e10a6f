"""Manifests, audio, encoder frames and batches."""
