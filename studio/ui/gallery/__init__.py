"""The tab Gallery."""
