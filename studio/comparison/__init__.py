"""What a comparison is worth: what differs, whether it holds, its numbers, votes, decisions."""
