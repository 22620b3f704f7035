"""What the studio costs, measured; see README.md."""
