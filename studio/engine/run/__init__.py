"""One run: a job becomes pictures and their receipts."""
