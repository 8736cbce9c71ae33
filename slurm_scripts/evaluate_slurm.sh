#!/usr/bin/env bash
#SBATCH --job-name=demucs_evaluate
#SBATCH --output=/dev/null
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#SBATCH --requeue
#
# Evaluates a release on the test songs:  sbatch slurm_scripts/evaluate_slurm.sh [NAME] [FLAG ...]
# Several tasks, or a job array, divide the songs; what was measured before a stop is kept.

log=demucs_evaluate.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/evaluate_slurm.sh [NAME] [FLAG ...]'

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

name=53288a8c # unless given
case ${1:--} in -* | *=*) ;; *) name=$1 && shift ;; esac
check_release "$name" "$@"
repo=(--repo ./release_models)
[ -z "$published" ] || repo=()
evaluate=(${repo[@]+"${repo[@]}"} -n "$name" test.workers="${SLURM_CPUS_PER_TASK:-2}" "$@")
check_flags tools.test_pretrained "${evaluate[@]}"
is_check && exit
start=()
if in_job && [ "${SLURM_NTASKS:-1}" -gt 1 ]; then
    [ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
    start=(srun --kill-on-bad-exit=0)
fi
${start[@]+"${start[@]}"} python3 -m tools.test_pretrained "${evaluate[@]}"
