"""The embedded model `mini` and its two LoRAs: data, training and export."""
