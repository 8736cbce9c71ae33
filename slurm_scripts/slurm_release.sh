#!/usr/bin/env bash
#SBATCH --job-name=demucs_release
#SBATCH --output=slurm_out/demucs_release.out
#SBATCH --cpus-per-task=8
#
# Exports an experiment into release_models:  sbatch slurm_scripts/slurm_release.sh [SIGNATURE] [FLAG ...]

. "${SLURM_SUBMIT_DIR:-.}/slurm_scripts/environment.sh" || {
    echo "error: start this from the folder of the repository, not from ${SLURM_SUBMIT_DIR:-$PWD}" >&2
    exit 2
}

name=${1:-53288a8c}
shift $(($# > 0))
python3 -m tools.export "$name" "$@"
