"""The tab Studio."""
