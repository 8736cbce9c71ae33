#!/usr/bin/env bash
#SBATCH --job-name=demucs_evaluate
#SBATCH --output=slurm_out/demucs_evaluate.out
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#
# Evaluates a release on the test songs:  sbatch slurm_scripts/evaluate_slurm.sh [NAME] [FLAG ...]

. "${SLURM_SUBMIT_DIR:-.}/slurm_scripts/environment.sh" || {
    echo "error: start this from the folder of the repository, not from ${SLURM_SUBMIT_DIR:-$PWD}" >&2
    exit 2
}

name=${1:-53288a8c}
shift $(($# > 0))
python3 -m tools.test_pretrained --repo ./release_models -n "$name" "$@"
