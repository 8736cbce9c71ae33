#!/usr/bin/env bash
#SBATCH --job-name=demucs_train
#SBATCH --output=slurm_out/demucs_train.out
#SBATCH --ntasks=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=8
#
# Trains HDemucs:   sbatch slurm_scripts/train_slurm.sh [EPOCHS] [DORA OVERRIDE ...]
# Without SLURM:    bash slurm_scripts/train_slurm.sh 2 batch_size=4

. "${SLURM_SUBMIT_DIR:-.}/slurm_scripts/environment.sh" || {
    echo "error: start this from the folder of the repository, not from ${SLURM_SUBMIT_DIR:-$PWD}" >&2
    exit 2
}

epochs=${1:-390}
[[ $epochs =~ ^[1-9][0-9]*$ ]] || {
    echo "usage: sbatch slurm_scripts/train_slurm.sh [EPOCHS] [DORA OVERRIDE ...], not EPOCHS=$epochs" >&2
    exit 2
}
shift $(($# > 0))

# With 390 epochs this is the experiment aa9b63ad.
overrides=(
    epochs="$epochs" test.every=100 batch_size=32
    model=hdemucs hdemucs.norm_starts=100 hdemucs.cac=False hdemucs.hybrid_old=True
    hdemucs.dconv_lstm=4
    test.split=True valid_apply=True
    'ema.epoch=[0.9,0.95]' 'ema.batch=[0.9995,0.9999]'
    seed=42 svd=base svd.penalty=1e-05 svd.dim=80 svd.convtr=True
    optim.lr=0.0003
)

if [ -n "${SLURM_JOB_ID:-}" ]; then
    export SUBMITIT_EXECUTOR=slurm # Dora then takes rank and world size from SLURM's tasks
    srun python3 -m demucs.train "${overrides[@]}" "$@"
else
    python3 -m demucs.train "${overrides[@]}" "$@"
fi
