"""ResNet-18 (He et al. 2016) for small images, of the CINIC-10 origin study (AkramAki/cinic10-source-classifier).

torchvision's network, from scratch, its stem replaced: Conv 64 of 3×3 with stride 1 instead of 7×7 with stride 2, and
no max-pooling after it. Then BatchNorm, ReLU; four stages of two residual blocks (64, 128, 256 and 512 channels; the
last three halve the image); global average pooling; Linear to the outputs. With one output 11,178,945 parameters, or
11,169,345 without running statistics, whatever the size of the images.
"""

from torch import nn

from whence.estimators.network import recipe
from whence.estimators.network.compiler import without_compiler


class Settings(recipe.Settings):
    """Section train.resnet18."""


def build(shape: tuple[int, int, int], outputs: int, settings: Settings) -> nn.Module:
    """Return the network; it takes images of any size."""
    with without_compiler():
        from torchvision.models import resnet18

    net: nn.Module = resnet18(weights=None, num_classes=outputs)
    net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision does it
    net.maxpool = nn.Identity()
    return net
