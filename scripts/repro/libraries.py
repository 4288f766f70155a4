"""Import the libraries of the stages, that forks of this process have them; of the project itself keep nothing."""

import importlib
import sys

from whence.estimators.network.compiler import without_compiler

STAGES_USE = (
    "captum.attr",
    "matplotlib.pyplot",
    "pandas",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "tqdm",
    "typer",
    "yaml",
)
WITHOUT_COMPILER = (
    "torch.distributed",
    "torch.nn.parallel",
    "torchvision.models",
    "timm",
    "segmentation_models_pytorch",
)

for name in STAGES_USE:
    importlib.import_module(name)
with without_compiler():
    for name in WITHOUT_COMPILER:
        importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "whence"]:
    del sys.modules[name]
