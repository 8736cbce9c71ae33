#!/usr/bin/env bash
#SBATCH --job-name=demucs_train
#SBATCH --output=/dev/null
#SBATCH --ntasks=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --signal=USR1@120
#
# Trains HDemucs:   sbatch slurm_scripts/train_slurm.sh [EPOCHS] [KEY=VALUE ...]
# Without SLURM:    bash slurm_scripts/train_slurm.sh 2 batch_size=4

epochs=390 # unless given
[[ ${1:-=} = *=* ]] || epochs=$1

# The group's hyper-parameters; those of the command line come after them and win. With 390 epochs
# this is the experiment aa9b63ad. The grid `group` reads them from here.
overrides=(
    epochs="$epochs" test.every=100 batch_size=32
    model=hdemucs hdemucs.norm_starts=100 hdemucs.cac=False hdemucs.hybrid_old=True
    hdemucs.dconv_lstm=4
    test.split=True valid_apply=True
    'ema.epoch=[0.9,0.95]' 'ema.batch=[0.9995,0.9999]'
    seed=42 svd=base svd.penalty=1e-05 svd.dim=80 svd.convtr=True
    optim.lr=0.0003
)
log=demucs_train.out # in slurm_out/, wherever one submits from
usage='sbatch slurm_scripts/train_slurm.sh [EPOCHS] [KEY=VALUE ...]'

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

[[ ${1:-=} = *=* ]] || shift
[[ $epochs =~ ^[1-9][0-9]*$ ]] || wrong "EPOCHS is '$epochs', not a whole number above 0"
for override; do
    [[ $override = *=* ]] || wrong "'$override' is not KEY=VALUE, e.g. batch_size=64"
done
train "${overrides[@]}" "$@"
