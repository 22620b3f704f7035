"""What a picture of any tool says of how it was made, and the request that this makes. Pure."""
