#!/usr/bin/env bash
#SBATCH --job-name=demucs_continue
#SBATCH --output=/dev/null
#SBATCH --ntasks=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --signal=USR1@120
#
# Goes on with an experiment:  sbatch slurm_scripts/continue_run_slurm.sh SIGNATURE [KEY=VALUE ...]

log=demucs_train.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/continue_run_slurm.sh SIGNATURE [KEY=VALUE ...]'

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

[ $# -ge 1 ] || wrong "the SIGNATURE is missing; 'python3 -m tools.status' lists them"
check_experiment "$1" .argv.json
for override in "${@:2}"; do
    [[ $override = *=* ]] || wrong "'$override' is not KEY=VALUE, e.g. misc.num_workers=4"
done
train -f "$@"
