#!/usr/bin/env bash
#SBATCH --job-name=demucs_pipeline
#SBATCH --output=/dev/null
#SBATCH --requeue
#
# Trains, exports, evaluates and draws the curves, as four jobs, each after the one before:
#   bash slurm_scripts/pipeline_slurm.sh [EPOCHS] [KEY=VALUE ...]      (or sbatch)
# One after the other on this machine, also where there is no SLURM:
#   bash slurm_scripts/pipeline_slurm.sh --here [EPOCHS] [KEY=VALUE ...]

log=demucs_pipeline.out # in slurm_out/, wherever one submits from
usage='bash slurm_scripts/pipeline_slurm.sh [--here] [EPOCHS] [KEY=VALUE ...]'

# SLURM runs a copy of this script: the repository is where it has the script from, or else at or
# above the folder of the submission. (The same lines in all scripts.)
scripts=$(dirname "$0") above=${SLURM_SUBMIT_DIR:-$PWD}
if [[ $0 = */slurm_script && $(scontrol show job "$SLURM_JOB_ID") =~ Command=([^$'\n']*) ]]; then
    scripts=${BASH_REMATCH[1]%%/slurm_scripts/*}/slurm_scripts
fi
while [ ! -f "$scripts/common.sh" ] && [ -n "$above" ]; do
    scripts=$above/slurm_scripts above=${above%/*}
done
[ -f "$scripts/common.sh" ] || {
    echo "error: no repository at or above ${SLURM_SUBMIT_DIR:-$PWD}: submit from its folder" >&2
    exit 1
}
# shellcheck source=slurm_scripts/common.sh
. "$scripts/common.sh"

here=no
[ "${1:-}" != --here ] || { here=yes && shift; }
command -v sbatch >/dev/null || here=yes
experiment=$(DEMUCS_CHECK=1 bash slurm_scripts/train_slurm.sh "$@")
signature=${experiment##* }

step() { # SCRIPT [ARGUMENT ...]: runs it here, or submits it to start after the step before
    if [ "$here" = yes ]; then
        bash "slurm_scripts/$1" "${@:2}"
    else
        id=$(bash slurm_scripts/submit.sh --parsable --kill-on-invalid-dep=yes \
            ${id:+--dependency="afterok:$id"} "$@")
        id=${id%%;*}
        echo "job $id: $1"
    fi
}

[ "$here" = yes ] || [ "${SLURM_RESTART_COUNT:-0}" = 0 ] ||
    fail "SLURM started this again, after it may have submitted jobs: see 'squeue --me'"
if is_check || [ "$here" = yes ]; then echo "$experiment"; fi # else submit.sh says it
! is_check || exit 0
step train_slurm.sh "$@"
step slurm_release.sh "$signature" --force # in place of an earlier release of it
step evaluate_slurm.sh "$signature"
step plots_slurm.sh "$signature"
