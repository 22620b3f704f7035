"""The presets and the weights on disk: found, hashed, pinned, checked, fetched."""
