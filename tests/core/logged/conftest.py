"""Lets the tests of this folder import Lightning, which imports torchvision."""

from __future__ import annotations

from zoo import models as models
