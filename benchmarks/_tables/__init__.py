"""Search engines on tables of trainings that were all run beforehand; see ../tables.py."""
