"""Training code of the embedded models; not shipped inside the studio package."""
