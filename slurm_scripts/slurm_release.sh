#!/usr/bin/env bash
#SBATCH --job-name=demucs_release
#SBATCH --output=/dev/null
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#
# Exports an experiment into release_models/:
#   sbatch slurm_scripts/slurm_release.sh [SIGNATURE] [FLAG ...]

log=demucs_release.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/slurm_release.sh [SIGNATURE] [FLAG ...]'

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

signature=53288a8c # unless given
case ${1:--} in -*) ;; *) signature=$1 && shift ;; esac
check_experiment "$signature" checkpoint.th
check_flags tools.export "$signature" "$@"
is_check || python3 -m tools.export "$signature" "$@"
