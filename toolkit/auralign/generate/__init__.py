"""Stage 2: ask the frozen LLM, filter its answers, and keep them with their provenance."""
