"""Warnings that a full disk cannot turn into tracebacks."""

from __future__ import annotations

import logging


def warn(log: logging.Logger, message: str, *arguments: object) -> None:
    """Logs a warning, on the terminal at least.

    Hydra leaves the log file of the last job that ran in this process among the handlers; where its disk is full,
    `logging` would print a traceback for each line.
    """
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        log.warning(message, *arguments)
    finally:
        logging.raiseExceptions = before
