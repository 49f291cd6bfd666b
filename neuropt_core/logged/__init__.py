"""Curves read from what a script logs for itself: its local W&B files, and TensorBoard's event files."""
