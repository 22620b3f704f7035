"""Prompts into embeddings."""
