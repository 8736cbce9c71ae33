#!/usr/bin/env bash
# Checks the arguments of a script, then submits it as slurm_scripts/site.env says, from any folder:
#   slurm_scripts/submit.sh [SBATCH_OPTION ...] SCRIPT [ARGUMENT ...]
#   slurm_scripts/submit.sh --time=2-0 train_slurm.sh 390 batch_size=64

usage='slurm_scripts/submit.sh [SBATCH_OPTION ...] SCRIPT [ARGUMENT ...]'

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

asked=()
while [ $# -gt 0 ] && [[ $1 != *.sh ]]; do asked+=("$1") && shift; done
[ $# -gt 0 ] || wrong "the SCRIPT is missing, e.g. train_slurm.sh"
script=$root/slurm_scripts/${1##*/}
shift
grep -qs '^#SBATCH' "$script" || wrong "${script##*/} is none of the scripts in $root/slurm_scripts"
command -v sbatch >/dev/null ||
    fail "there is no sbatch on PATH: to run it on this machine, type 'bash $script'"

# The job's tasks, so that the check knows whether the batch can be divided among them.
tasks=$(sed -n 's/^#SBATCH --ntasks=//p' "$script")
[[ " ${asked[*]} " =~ \ (-n|--ntasks)[=\ ]?([0-9]+)\  ]] && tasks=${BASH_REMATCH[2]}
check=1
[[ " ${asked[*]} " =~ \ (-d|--dependency) ]] && check=later
[[ $script != *train_slurm.sh || " ${asked[*]}" != *" --gpus-per-task"* ]] ||
    fail "--gpus-per-task shows each task its own GPU only: give --gres=gpu:N, as many as a node has"
cd "$typed_in"
said=$(env DEMUCS_CHECK=$check ${tasks:+DEMUCS_WORLD_SIZE="$tasks"} bash "$script" "$@")

options=(--chdir="$root") # where the log goes; SLURM_SUBMIT_DIR stays the user's folder
gpus=$(sed -n 's/^#SBATCH --gres=gpu://p' "$script")
if [[ -n $gpus && -n ${DEMUCS_GPU_TYPE:-} && " ${asked[*]}" != *" "@(--gres|--gpus|-G)* ]]; then
    options+=(--gres="gpu:$DEMUCS_GPU_TYPE:$gpus")
fi
while IFS= read -r line; do # what the check printed: options of its own, and words for the user
    if [[ $line = --* ]]; then options+=("$line"); continue; fi
    # squeue then tells which experiment a job that waits belongs to, and tools.status too.
    [[ $line = "experiment "* ]] && options+=(--comment="demucs ${line#experiment }")
    if [ -n "$line" ]; then echo "$line" >&2; fi
done <<<"$said"

# A job that submits another would hand down its own number of tasks, memory, array, ...
for variable in "${!SLURM_@}"; do
    [ "$variable" = SLURM_CONF ] || unset "$variable"
done
exec sbatch "${options[@]}" ${asked[@]+"${asked[@]}"} "$script" "$@"
