"""A base model: loaded, kept resident, placed in memory."""
