"""What a trial measures of each picture; a measure of your own is a class like these."""

from studio.trials.measures.measure import Measure, MeasureFacts, Reading, Seen

__all__ = ["Measure", "MeasureFacts", "Reading", "Seen"]
