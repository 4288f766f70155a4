"""Measure what the project promises about speed, each figure against what one would otherwise do, in one run.

`make bench` takes the drawn sample; `make bench DATA=folder` takes cifake.tar.xz from a folder of real archives. What
is read from disk is half a gigabyte, or with `make bench GIGABYTES=20` as much as that.
"""

import importlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence import archive, metrics, neighbours
from whence.base import arrays, settings
from whence.datasets import cifake

ROUNDS = 3
WORKERS = 2
TRAINED = 20_000
"""Most images of the training benchmark."""
EMBEDDED, TIMED = 10_000, 2_000
"""Most images that are shown to a backbone for the maps, and for its speed."""
STORED = 4096
"""Images that are read from disk, and held in memory, side by side."""


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def by_itself(work: Callable[[], float]) -> float:
    """Return what `work` returns, glibc doing with memory what it does by itself, as it does for who is not us."""
    from whence.estimators.network.device import KEPT, USUAL, allocate

    allocate(USUAL)
    try:
        return work()
    finally:
        allocate(KEPT)


def compare(title: str, ours: Callable[[], float], theirs: Callable[[], float], count: int, unit: str) -> None:
    """Print both rates and their ratio, the median of pairs that run in turn; both return seconds."""
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    ratio = statistics.median(b / a for a, b in pairs)
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{title}: {count / a:,.0f} {unit}/s against {count / b:,.0f}, {ratio:.1f} times as fast", flush=True)


def bench_pack(source: Path, folder: Path) -> None:
    """The whole stage, start-up included, against unpacking and ImageFolder + DataLoader without their imports."""
    import torch
    import torchvision

    outputs = [str(folder / name) for name in ("images", "index")]

    def ours() -> float:
        command = [sys.executable, "-m", "stages.pack", "cifake", str(source), *outputs]
        return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    def theirs() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as unpacked:
            return seconds(lambda: load(Path(unpacked)))

    def load(unpacked: Path) -> None:
        unpack(source, unpacked)
        for split in ("train", "test"):
            images = torchvision.datasets.ImageFolder(str(unpacked / split), torchvision.transforms.ToTensor())
            for _ in torch.utils.data.DataLoader(images, batch_size=256, num_workers=WORKERS):
                pass

    count = sum(name.endswith(cifake.SUFFIX) for name, _ in archive.members(source))
    compare(f"pack {source.name}, {count:,} images", ours, theirs, count, "images")


def bench_bootstrap() -> None:
    """All metrics with intervals against a loop over scikit-learn's (20 of its resamples, taken times 100)."""
    from sklearn import metrics as sk

    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.5
    score = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1)
    section = settings.load("evaluate.metrics", metrics.Settings)

    def loop() -> None:
        for _ in range(20):
            rows = rng.integers(len(score), size=len(score))
            y, p = positive[rows], score[rows]
            sk.precision_recall_fscore_support(y, p >= metrics.THRESHOLD, average="binary")
            for metric in (sk.accuracy_score, sk.balanced_accuracy_score, sk.matthews_corrcoef):
                metric(y, p >= metrics.THRESHOLD)
            for metric in (sk.roc_auc_score, sk.average_precision_score, sk.log_loss, sk.brier_score_loss):
                metric(y, p)

    ours, theirs = (lambda: seconds(lambda: metrics.summarise(positive, score, section))), (lambda: 100 * seconds(loop))
    compare("bootstrap of 20,000 rows", ours, theirs, section.resamples, "resamples")


def print_nothing(_: object) -> None:
    """Take a history and do nothing with it."""


def unpack(source: Path, folder: Path) -> None:
    """Unpack an archive with the quickest tool at hand."""
    folder.mkdir(exist_ok=True)
    if archive.kind(source) == "zip":
        shutil.unpack_archive(source, folder, "zip")
    else:
        subprocess.run(["tar", "xf", str(source), "-C", str(folder)], check=True)


def recipe(classifier: str, name: str, **changes: Any) -> tuple[ModuleType, Any]:
    """Return the module of a network, and section train.<name> of params.yaml with changes."""
    module = importlib.import_module(f"whence.classifiers.{classifier}")
    return module, module.Settings.model_validate(settings.value(f"train.{name}") | changes)


def bench_training(unpacked: Path, folder: Path) -> None:
    """One epoch of `small` against the plain loop that tutorials show: the same network, optimizer and augmentation."""
    import torch
    import torchvision
    from torchvision.transforms import v2

    from whence.estimators.network import trainer

    side = unpacked / "train"
    augmented = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomHorizontalFlip(),
            v2.RandomCrop(32, padding=2, padding_mode="reflect"),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    files = torchvision.datasets.ImageFolder(str(side), augmented)
    few = torch.randperm(len(files), generator=torch.Generator().manual_seed(0))[:TRAINED].tolist()
    module, section = recipe("small", "small", epochs=1, optimizer="sgd", learning_rate=0.01, views_at_test=1)
    images = torch.stack([v2.functional.pil_to_tensor(files.loader(files.samples[k][0])) for k in few])
    data = trainer.Data(images.permute(0, 2, 3, 1).contiguous(), torch.tensor([files.targets[k] for k in few]))
    nothing = trainer.Data(data.images[:1], data.y[:1])
    scale = trainer.Scale((127.5,) * 3, (63.75,) * 3)

    def ours() -> float:
        net = module.build((32, 32, 3), 1, section).to(memory_format=torch.channels_last)
        kept = folder / "checkpoint"
        kept.unlink(missing_ok=True)
        return seconds(lambda: trainer.train(net, scale, data, nothing, section, 0, kept, print_nothing))

    def theirs() -> float:
        net = module.build((32, 32, 3), 1, section)
        mover = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.01, momentum=0.9, nesterov=True)
        loader = torch.utils.data.DataLoader(
            torch.utils.data.Subset(files, few), section.batch, shuffle=True, num_workers=WORKERS
        )

        def epoch() -> None:
            for x, y in loader:
                mover.zero_grad()
                loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x).squeeze(1), y.float())
                loss.backward()  # type: ignore[no-untyped-call]
                mover.step()

        return by_itself(lambda: seconds(epoch))

    compare(f"training of small, {len(few):,} images", ours, theirs, len(few), "images")


def peak() -> Callable[[], float]:
    """Return what measures the floating-point operations per second of a product of matrices, in the quick format."""
    import torch

    from whence.estimators.network.device import bf16, device

    where = device()
    side = 8192 if where.type == "cuda" else 2048
    matrix = torch.randn(side, side, device=where, dtype=torch.bfloat16 if bf16(where) else torch.float32)

    def product() -> None:
        for _ in range(20):
            matrix @ matrix
        sync()

    product()
    return lambda: 20 * 2 * side**3 / seconds(product)


def sync() -> None:
    """Wait for the GPU, if there is one."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def share_of_peak(title: str, work: Callable[[], float], count: int, per_image: float) -> None:
    """Print images per second, and their operations as a share of the peak; `work` returns seconds."""
    from whence.estimators.network.device import bf16, device

    product, shares = peak(), []
    work()
    for _ in range(ROUNDS):
        most = product()
        rate = count / work()
        shares.append((rate * per_image / most, rate, most))
    share, rate, most = sorted(shares)[ROUNDS // 2]
    kind = "bf16" if bf16(device()) else "fp32"
    print(
        f"{title} on {device().type}: {rate:,.0f} images/s, {share:.0%} of the {most / 1e9:,.0f} GFLOP/s of a {kind} "
        "matrix product",
        flush=True,
    )


def bench_peak() -> None:
    """ResNet-18 in training at 32 px, its floating-point operations as a share of the measured matrix-product peak."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from whence.estimators.network import trainer
    from whence.estimators.network.device import device, half

    where = device()
    module, section = recipe(
        "resnet18", "resnet18", epochs=1, optimizer="sgd", batch=1024 if where.type == "cuda" else 128
    )
    net = module.build((32, 32, 3), 1, section).to(where, memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter, half(where):
        net(torch.zeros(2, 3, 32, 32, device=where)).sum().backward()
    per_image = counter.get_total_flops() / 2
    count = section.batch * (100 if where.type == "cuda" else 6)
    data = trainer.Data(
        torch.randint(256, (count, 32, 32, 3), dtype=torch.uint8, device=where),
        torch.randint(2, (count,), device=where),
    )

    scale = trainer.Scale((127.5,) * 3, (63.75,) * 3)
    step = trainer.Step(net, scale, section, data)

    def epoch() -> None:
        trainer.one_epoch(step, scale, data, section, 0, 0, 0, 1)
        sync()

    share_of_peak("training of ResNet-18 at 32 px", lambda: seconds(epoch), count, per_image)


def bench_networks() -> None:
    """Training of networks from scratch, and of those that begin with given weights, images of 32×32."""
    import torch

    from whence.estimators.network import trainer
    from whence.estimators.network.device import device

    where, count = device(), 512
    data = trainer.Data(
        torch.randint(256, (count, 32, 32, 3), dtype=torch.uint8, device=where),
        torch.arange(count, device=where) % 10,
    )
    scale = trainer.Scale((127.5,) * 3, (63.75,) * 3)
    for name, classifier in (
        *((name, name) for name in ("lenet", "three_block_cnn", "small", "best", "resnet18")),
        *((name, "transfer") for name in ("transfer_frozen", "transfer", "transfer_resnet18", "transfer_vgg16")),
        ("transfer_lite0", "transfer"),
    ):
        frozen = {"frozen_epochs": 0} if classifier == "transfer" else {}
        module, section = recipe(classifier, name, **frozen)
        net = module.build((32, 32, 3), 10, section).to(where, memory_format=torch.channels_last)
        seen = data
        if getattr(section, "remembered", False):
            seen = data._replace(images=net.remember([scale(data.images[:])]))
        step = trainer.Step(net, scale, section, seen)

        def epoch(step: Any = step, section: Any = section, seen: trainer.Data = seen) -> None:
            trainer.one_epoch(step, scale, seen, section, 0, 0, 0, 1)
            sync()

        epoch()
        rate = count / statistics.median(seconds(epoch) for _ in range(ROUNDS))
        print(f"training of {name}: {rate:,.0f} images/s, {50_000 / rate:,.0f} s for 50,000", flush=True)


def bench_convolutions() -> None:
    """Networks at 64 px, learning and answering, their convolutions by `convolutions` against PyTorch's own."""
    import torch
    from torch.nn import functional

    from whence.estimators.network import backbones, convolutions
    from whence.estimators.network.device import device

    names: list[backbones.Name] = ["mobilenet_v2", "tf_efficientnet_lite0"]
    for name in names:
        times = []
        for quicken in (convolutions.quicken, lambda _: None):
            net: Any = backbones.blocks(name, backbones.trunk(name))
            net.to(device(), memory_format=torch.channels_last)
            quicken(net)
            lower, upper = net[:-7].eval(), net[-7:].eval()
            with torch.no_grad():
                x = lower(torch.rand(128, 3, 64, 64, device=device()).to(memory_format=torch.channels_last))

            def steps(x: Any = x, upper: Any = upper) -> None:
                for _ in range(4):
                    torch.autograd.backward(functional.relu(upper(x)).mean())
                sync()

            steps()
            times.append(lambda steps=steps: seconds(steps))
        compare(f"gradients of the upper seven blocks of {name}", times[0], times[1], 512, "images")
    x, times = torch.rand(64, 3, 64, 64, device=device()).to(memory_format=torch.channels_last), []
    for quicken in (convolutions.quicken, lambda _: None):
        net = backbones.folded(backbones.trunk("resnet18")).to(device()).to(memory_format=torch.channels_last)
        quicken(net)

        def answers(net: Any = net) -> None:
            with torch.inference_mode():
                for _ in range(8):
                    net(x)
            sync()

        answers()
        times.append(lambda answers=answers: seconds(answers))
    compare("answers of resnet18", times[0], times[1], 512, "images")


def bench_embed(unpacked: Path) -> NDArray[np.float32]:
    """ResNet-18 and MobileNetV2 at 64 px against the loop that tutorials show; return the features of ResNet-18."""
    import torch
    import torchvision
    from torch.utils.flop_counter import FlopCounterMode
    from torchvision.transforms import v2

    from whence.embedding import Embedding
    from whence.estimators.network import backbones, data

    pixels = 64
    as_published = v2.Compose(
        [
            v2.Resize(pixels),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    files = torchvision.datasets.ImageFolder(str(unpacked / "train"), as_published)
    few = torch.randperm(len(files), generator=torch.Generator().manual_seed(0))[:EMBEDDED].tolist()
    images = np.stack([np.asarray(files.loader(files.samples[k][0])) for k in few])
    names: list[backbones.Name] = ["mobilenet_v2", "resnet18"]
    for name in names:
        net, scale = backbones.trunk(name).eval(), data.Scale(*backbones.normalisation(name))
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            net(torch.zeros(1, 3, pixels, pixels))

        def ours(net: Any = net, scale: Any = scale) -> float:
            return seconds(lambda: list(Embedding(net, scale, pixels)(images[:TIMED])))

        def theirs(net: Any = net) -> float:
            part = torch.utils.data.Subset(files, few[:TIMED])
            loader = torch.utils.data.DataLoader(part, batch_size=256, num_workers=WORKERS)

            def loop() -> None:
                with torch.inference_mode():
                    for x, _ in loader:
                        net(x)

            return by_itself(lambda: seconds(loop))

        count = min(TIMED, len(images))
        share_of_peak(f"extraction by {name} at {pixels} px", ours, count, counter.get_total_flops())
        compare(f"extraction by {name} at {pixels} px", ours, theirs, count, "images")
    return np.concatenate(list(Embedding(net, scale, pixels)(images)))


def bench_tsne(x: NDArray[np.float32]) -> None:
    """The map of standardised features (n, d), principal components included, against scikit-learn's; once each."""
    from sklearn.manifold import TSNE

    from stages import tsne

    section, x = settings.load("tsne", tsne.Settings), neighbours.reduced(x, x.shape[1])
    maps: list[NDArray[Any]] = []

    def ours() -> None:
        space = neighbours.reduced(x, section.components)
        maps.append(neighbours.tsne(space, 2, section.perplexity, section.seed))

    def theirs() -> None:
        maps.append(TSNE(perplexity=section.perplexity, random_state=section.seed, n_jobs=-1).fit_transform(x))

    times = [seconds(ours), seconds(theirs)]
    trust = [neighbours.trustworthiness(x, drawn, section.neighbours) for drawn in maps]
    print(
        f"t-SNE of {len(x):,} × {x.shape[1]}: {times[0]:.0f} s against {times[1]:.0f}, {times[1] / times[0]:.1f} times "
        f"as fast; trustworthiness {trust[0]:.4f} against {trust[1]:.4f}",
        flush=True,
    )


def bench_stored(folder: Path, gigabytes: float) -> None:
    """Images that training and extraction read from disk: the speed against memory, and of many the largest memory."""
    few, many = folder / "few.npy", folder / "many.npy"
    rng = np.random.default_rng(0)
    side, count = 128, int(gigabytes * 1e9) // (3 * 128**2)

    def drawn(rows: int) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, rows, 1024):
            shape = (min(1024, rows - start), side, side, 3)
            yield np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape)

    arrays.write_blocks(few, drawn(STORED))
    rows = np.arange(STORED)
    memory, disk = arrays.read(few)[:].copy(), arrays.Stored(few, rows)
    title = f"training of minimal_cnn, {STORED:,} images of {side} px, read from disk against from memory"
    ours, theirs = (lambda: seconds(lambda: _fit(disk, 1024))), (lambda: seconds(lambda: _fit(memory, None)))
    compare(title, ours, theirs, STORED, "images")
    arrays.write_blocks(many, drawn(count))
    (folder / "params.yaml").write_text("extract:\n  colour: {}\n")
    train = "from pathlib import Path; from scripts import bench; from whence.base import arrays; import sys; "
    train += "bench._fit(arrays.Stored(Path(sys.argv[1])), 8192)"
    for what, command in (
        ("training of minimal_cnn", [sys.executable, "-c", train, str(many)]),
        (
            "extraction of colour",
            [sys.executable, "-m", "stages.extract", "colour", str(many), str(folder / "out.npy")],
        ),
    ):
        here = {"PYTHONPATH": str(Path.cwd()), "PATH": os.environ["PATH"]}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=Path.cwd() if "-c" in command else folder, env=here, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        if status:
            raise SystemExit(f"{what}: exit status {status}")
        size = f"{many.stat().st_size / 1e9:.1f} GB"
        print(f"{what}, {size}: {count / took:,.0f} images/s, {used.ru_maxrss / 1e6:.2f} GB resident", flush=True)


def _fit(x: Any, window: int | None) -> None:
    """Learn one epoch of nothing from images, every other one of each class."""
    from whence.estimators.network.estimator import Estimator

    module, section = recipe("minimal_cnn", "minimal_cnn", epochs=1, batch=64, window=window)
    y = np.array(["a", "b"])[np.arange(len(x)) % 2]
    model = Estimator(module, section).fit(x, y, x[:64], y[:64])
    for checkpoint in model.checkpoints:
        checkpoint.unlink(missing_ok=True)


def bench_streets() -> None:
    """Steps of DeepLabV3+ on parts of frames, and all counts of 100 frames against the network's answers alone."""
    import torch

    from whence.estimators.network import data, trainer
    from whence.roads import classes, counting, deeplab, tables
    from whence.roads.segmenter import Segmenter

    wanted = settings.load("train.mobilenet_v2", deeplab.Settings, Path("roads/params.yaml"))
    kinds, rng = classes.seven(tables.IDD_LITE), np.random.default_rng(0)
    images = rng.integers(0, 256, (100, 227, 320, 3), np.uint8)
    ids = rng.integers(0, len(kinds.names), images.shape[:3]).astype(np.uint8)
    model = Segmenter(deeplab, wanted)
    model.classes_, model.shape, model.scale = np.array(kinds.names), [227, 320, 3], deeplab.scale(wanted)
    model.members = [model._build(model.device)]
    few = data.Data(
        torch.from_numpy(images[:32]).to(model.device), data.Masks(torch.from_numpy(ids[:32]).to(model.device), 7)
    )
    step = trainer.Step(model.members[0], model.scale, wanted, few)

    def epoch() -> None:
        trainer.one_epoch(step, model.scale, few, wanted, 0, 0, 0, 1)
        sync()

    epoch()
    rate = len(few.y) / statistics.median(seconds(epoch) for _ in range(ROUNDS))
    print(f"training of DeepLabV3+ (mobilenet_v2): {rate:,.1f} parts of frames/s", flush=True)

    def answers() -> None:
        for _ in model.answers(images):
            sync()

    def evaluation() -> None:
        start = 0
        for z in model.answers(images):
            counting.count(z, torch.from_numpy(ids[start : start + len(z)]).to(z.device), kinds)
            start += len(z)

    title = "all counts of frames, against their answers alone"
    compare(title, lambda: seconds(evaluation), lambda: seconds(answers), len(images), "frames")


def bench_repro(folder: Path) -> None:
    """A fresh clone: the whole sample, then nothing to do."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)

    def repro() -> float:
        return seconds(lambda: subprocess.run(["dvc", "repro"], cwd=clone, check=True, stdout=subprocess.DEVNULL))

    print(f"dvc repro of the whole sample in a fresh clone: {repro():.0f} s", flush=True)
    print(f"dvc repro with nothing to do: {statistics.median(repro() for _ in range(ROUNDS)):.1f} s", flush=True)


def main(data: Path | None) -> None:
    """Run all benchmarks, on the archive in `data` or on the drawn sample."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = data / "cifake.tar.xz" if data else folder / "sample.zip"
        if not data:
            sample = settings.load("fetch.cifake.sample", cifake.Sample)
            archive.write(source, cifake.CONTAINER, cifake.draw(sample))
        bench_pack(source, folder)
        unpack(source, folder / "unpacked")
        bench_training(folder / "unpacked", folder)
        bench_peak()
        bench_networks()
        bench_convolutions()
        bench_tsne(bench_embed(folder / "unpacked"))
        bench_bootstrap()
        bench_streets()
        bench_stored(folder, float(os.environ.get("GIGABYTES", "0.5")))
        bench_repro(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
