"""Writing files so that they are whole or not there."""
