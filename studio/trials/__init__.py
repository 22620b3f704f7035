"""Which checkpoint of a training run, and at which strength."""
