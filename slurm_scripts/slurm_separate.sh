#!/usr/bin/env bash
#SBATCH --job-name=demucs_separate
#SBATCH --output=slurm_out/demucs_separate.out
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#
# Separates a file into separated/:  sbatch slurm_scripts/slurm_separate.sh FILE NAME [FLAG ...]

. "${SLURM_SUBMIT_DIR:-.}/slurm_scripts/environment.sh" || {
    echo "error: start this from the folder of the repository, not from ${SLURM_SUBMIT_DIR:-$PWD}" >&2
    exit 2
}

[ $# -ge 2 ] || { echo "usage: sbatch slurm_scripts/slurm_separate.sh FILE NAME [FLAG ...]" >&2; exit 2; }
file=$1 name=$2
shift 2
python3 -m demucs.separate --repo ./release_models -n "$name" "$@" "$file"
