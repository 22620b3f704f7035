"""Comparisons that were kept: their records, index and verification."""
