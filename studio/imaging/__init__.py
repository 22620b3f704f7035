"""Pictures as bytes and pixels."""
