"""What is promised and what happened: request, prompt, plan, receipt, audit. Pure values."""
