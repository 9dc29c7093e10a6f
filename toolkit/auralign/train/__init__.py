"""Stage 3: train the connector on the targets."""
