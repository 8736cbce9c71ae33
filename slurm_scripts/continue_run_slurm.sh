#!/usr/bin/env bash
#SBATCH --job-name=demucs_continue
#SBATCH --output=slurm_out/demucs_train.out
#SBATCH --open-mode=append
#SBATCH --ntasks=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=8
#
# Goes on with an experiment:  sbatch slurm_scripts/continue_run_slurm.sh SIGNATURE

. "${SLURM_SUBMIT_DIR:-.}/slurm_scripts/environment.sh" || {
    echo "error: start this from the folder of the repository, not from ${SLURM_SUBMIT_DIR:-$PWD}" >&2
    exit 2
}

[ $# -eq 1 ] || { echo "usage: sbatch slurm_scripts/continue_run_slurm.sh SIGNATURE" >&2; exit 2; }
argv="${DEMUCS_OUTPUTS:-outputs}/xps/$1/.argv.json" # Dora keeps the overrides of each experiment
[ -f "$argv" ] || { echo "error: no experiment $1: $argv does not exist" >&2; exit 1; }
mapfile -t overrides < <(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' "$argv")

if [ -n "${SLURM_JOB_ID:-}" ]; then
    export SUBMITIT_EXECUTOR=slurm
    srun python3 -m demucs.train "${overrides[@]}"
else
    python3 -m demucs.train "${overrides[@]}"
fi
