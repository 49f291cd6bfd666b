"""The search as a Python call: a function to train with and a space or a live model, on the engine of the sweeper."""
