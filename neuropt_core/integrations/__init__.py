"""One line each for those who train by a library's own loop: its callback that reports, stops and steps for them."""
