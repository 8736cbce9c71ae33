"""Converts models: `python3 -m tools.convert NAME --to th`.

    release      a release of ours, from a file of the public Demucs or of torchaudio (NAME.pt)
    th           a file that `demucs --repo FOLDER -n NAME` of the public Demucs reads
    safetensors  the same weights with class and arguments as JSON, as its current release has them
    onnx         the network for onnxruntime: from a segment [B, C, T] to its stems [B, S, C, T]

Weights keep their bits and the precision of the source, and are read back before success is
reported.
An ONNX file is run and compared with the model; docs/onnx.md shows how to separate with it.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs.errors import ReleaseError
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors
from demucs.release import DEFAULT_FOLDER
from demucs.release.names import PICKLED, model_files, name_of


def run(args: argparse.Namespace) -> int:
    """Converts one model; returns the exit code."""
    import torch

    from demucs.release import ReleaseFolder, read_release, save_release
    from demucs.release.publish import save_published, save_published_safetensors
    from demucs.release.published import is_published, read_published

    if args.to == "onnx":
        return to_onnx(args)
    source = ReleaseFolder(args.repo).path(args.name)
    if source.suffix == ".yaml":
        raise ReleaseError(f"{source} is a bag: convert its models, and copy the file beside them")
    state: Any
    if is_published(source):
        state, info = read_published(source, args.name)
    else:
        state, info = read_release(source)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.name}.safetensors"
    former = [path] if path.exists() else []
    if args.to == "th":  # the name has a checksum, and only one file may have this name
        pickled = [file for file in model_files(args.out) if file.suffix == PICKLED]
        former = [file for file in pickled if name_of(file) == args.name]
    for file in former:
        _keep(file, args.force)
    if args.to == "release":
        save_release(path, state, info)
        back, _ = read_release(path)
    elif args.to == "th":
        path = save_published(args.out, args.name, info.spec, state, info.config)
        back, _ = read_published(path, args.name)
        for file in former:
            if file != path:
                file.unlink()
    else:
        save_published_safetensors(path, info.spec, state)
        back, _ = read_published(path, args.name)
    for name, tensor in state.items():
        if back[name].dtype != tensor.dtype or not torch.equal(back[name], tensor):
            raise ReleaseError(f"{path}: {name} was not read back as it was written")
    print(f"wrote: {path}")
    return 0


def to_onnx(args: argparse.Namespace) -> int:
    """Converts one model to ONNX; returns the exit code."""
    from demucs.release import ReleaseFolder
    from demucs.release.bagfile import read_bag
    from demucs.release.onnx_file import MIN_SNR, save_onnx

    folder = ReleaseFolder(args.repo)
    if folder.path(args.name).suffix == ".yaml":
        models = ", ".join(read_bag(folder.path(args.name)).models)
        raise ReleaseError(
            f"{args.name} is a bag, and an ONNX file holds one network: convert {models} one by "
            "one, and average their stems by its weights"
        )
    path = args.out / f"{args.name}.onnx"
    _keep(path, args.force)
    model, info = folder.load(args.name)
    length, ratio = save_onnx(path, model, info, args.segment)
    print(f"{path}: stems {ratio:.1f} dB from the model's or better (at least {MIN_SNR:.0f} dB)")
    print(f"wrote: {path} ({length} samples, {path.stat().st_size / 2**20:.0f} MiB)")
    return 0


def _keep(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ReleaseError(f"{path} exists: give --force to replace it, or another --out")


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser("tools.convert", __doc__)
    add = parser.add_argument
    add("name", metavar="NAME", help="the model, a release of ours or a public file")
    add("--to", required=True, choices=["release", "th", "safetensors", "onnx"])
    add("--repo", default=DEFAULT_FOLDER, help="folder it is in (default: %(default)s)")
    add(
        "--out", type=Path, default=Path("converted"), help="folder it goes to (default: converted)"
    )
    add("--segment", type=float, help="onnx: seconds of the input (default: the model's own)")
    add("--force", action="store_true", help="replace a file that is there")
    args = parser.parse_args(argv)
    if args.segment is not None and args.to != "onnx":
        parser.error(f"--segment is for --to onnx, and not for --to {args.to}")
    return run(args)


if __name__ == "__main__":
    run_command(main)
