"""The contact sheet of a comparison."""
