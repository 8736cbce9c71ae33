#!/usr/bin/env bash
#SBATCH --job-name=demucs_distil
#SBATCH --output=/dev/null
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:1
#SBATCH --signal=USR1@120
#SBATCH --requeue
#
# Makes training data of songs without stems; the teacher is a release or a published model:
#   sbatch slurm_scripts/distil_slurm.sh MUSIC OUT TEACHER FLAG ...
#   slurm_scripts/submit.sh --array=0-7 distil_slurm.sh ~/music ~/distilled htdemucs --by self_cycle ...
# Several tasks, or a job array, divide the files; the last one to finish writes the songs.

log=demucs_distil.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/distil_slurm.sh MUSIC OUT TEACHER FLAG ...'

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

[ $# -ge 3 ] || wrong "give a folder of MUSIC, the folder OUT of the results, and the TEACHER"
name=$3
check_release "$name" "${@:4}"
seen_from_here() { case $1 in /*) echo "$1" ;; *) echo "$typed_in/$1" ;; esac }
distil=("$(seen_from_here "$1")" "$(seen_from_here "$2")" -n "$name")
[ -n "$published" ] || [[ " $* " = *" --repo"* ]] || distil+=(--repo ./release_models)
distil+=("${@:4}")
check_flags tools.distil "${distil[@]}"
if [ ! -d "${distil[0]}" ] && [ "${DEMUCS_CHECK:-}" != later ]; then
    fail "there is no folder $1 in $typed_in: give a folder of audio files"
fi
is_check && exit
in_job || exec python3 -m tools.distil "${distil[@]}"
run_tasks python3 -m tools.distil "${distil[@]}"
