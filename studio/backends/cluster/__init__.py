"""Runs on workers of their own, here or on other machines; the only home of Ray."""
