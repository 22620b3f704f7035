"""The tab Trials."""
