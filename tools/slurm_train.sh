#!/usr/bin/env bash
#SBATCH --requeue
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
# Pretrain with several processes on a Slurm cluster.
set -euo pipefail

usage() {
    # mmactclr calls it by another name
    sed "s#bash tools/slurm_train[.]sh#${MMACTCLR_COMMAND:-&}#" <<'TEXT'
usage: bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
       sbatch [arguments of sbatch] tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]

Pretrains with GPUS processes under srun, one on each GPU; where a node has no GPU, as many processes on its CPUs. Every
process takes train_dataloader.batch_size sequences a step. auto_scale_lr.enable=True scales the learning rate with it.

Under sbatch 120 seconds before the time limit the processes get SIGUSR1, write a checkpoint and end; the job is then
put into the queue again and goes on with --resume by itself. scancel ends it for good, after a checkpoint.

environment: GPUS           processes, default 8
             GPUS_PER_NODE  processes and GPUS of a node, default the smaller of GPUS and 8
             CPUS_PER_TASK  CPUs of each process, default 5
             GRES           what srun asks for, default gpu:GPUS_PER_NODE; empty for nodes without GPUs
             SRUN_ARGS      further arguments of srun
             PYTHON         interpreter, default python

exit code: that of srun: 0 trained, 143 stopped by SIGTERM or SIGUSR1, 130 by SIGINT

example: GPUS=16 bash tools/slurm_train.sh gpu first configs/actclr/actclr_3s_ntu60_xsub.py --work-dir work_dirs/first
         sbatch -p gpu -J first -n 8 --ntasks-per-node=8 --gres=gpu:8 -c 5 -t 24:00:00 tools/slurm_train.sh gpu first \
             configs/actclr/actclr_3s_ntu60_xsub.py --work-dir work_dirs/first
TEXT
}

fail() {
    printf 'error: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

case "${1:-}" in
    -h | --help)
        usage
        exit 0
        ;;
esac
[ $# -ge 3 ] || fail "expected PARTITION, JOB_NAME and CONFIG, found $# argument(s)"
partition=$1 job=$2 config=$3
shift 3
processes=${GPUS:-8}
[[ $processes =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$processes', expected the number of processes"
per_node=${GPUS_PER_NODE:-$((processes < 8 ? processes : 8))}
[[ $per_node =~ ^[1-9][0-9]*$ ]] || fail "GPUS_PER_NODE is '$per_node', expected the number of processes of a node"
cpus=${CPUS_PER_TASK:-5}
[[ $cpus =~ ^[1-9][0-9]*$ ]] || fail "CPUS_PER_TASK is '$cpus', expected a number of CPUs"
gres=${GRES-gpu:$per_node}

# sbatch runs a copy of this file that lies elsewhere
tools="$(dirname "${BASH_SOURCE[0]}")"
[ -f "$tools/train.py" ] || tools="${SLURM_SUBMIT_DIR:-.}/tools"
[ -f "$tools/train.py" ] || fail "found no tools/train.py in ${SLURM_SUBMIT_DIR:-.}; call sbatch in the checkout"
command -v srun >/dev/null || fail 'found no srun; without Slurm use bash tools/dist_train.sh CONFIG GPUS'

request=(--ntasks "$processes" --ntasks-per-node "$per_node" --cpus-per-task "$cpus" --kill-on-bad-exit=1)
[ -z "$gres" ] || request+=(--gres "$gres")
# inside a job it is too late for these
[ -n "${SLURM_JOB_ID:-}" ] || request+=(--partition "$partition" --job-name "$job")
resume=()
[ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || resume=(--resume)

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
# jobs that share a node need ports of their own
export MASTER_PORT="${MASTER_PORT:-$((20000 + ${SLURM_JOB_ID:-$$} % 20000))}"

# srun passes signals on to the processes, but one SIGINT only makes it print what runs
ended=''
trap 'ended=143; kill -TERM "$step" 2>/dev/null || :' TERM
trap 'ended=130; kill -TERM "$step" 2>/dev/null || :' INT
trap 'kill -USR1 "$step" 2>/dev/null || :' USR1
# shellcheck disable=SC2086
srun "${request[@]}" ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$tools/train.py" "$config" --launcher slurm "$@" \
    "${resume[@]}" &
step=$!
code=0
while :; do
    if wait "$step"; then code=0; else code=$?; fi
    # a signal ends the waiting, not the step
    kill -0 "$step" 2>/dev/null || break
done
if [ -n "$ended" ]; then
    [ "$code" -eq 0 ] || code=$ended
elif [ -n "${SLURM_JOB_ID:-}" ] && { [ "$code" -eq 143 ] || [ "$code" -eq 138 ]; }; then
    # 143: stopped by SIGUSR1 after a checkpoint; 138: killed by it, before training began or after it ended
    echo "job $SLURM_JOB_ID goes back into the queue and on from its newest checkpoint" >&2
    scontrol requeue "$SLURM_JOB_ID" || echo 'scontrol could not do it; submit the job again with --resume' >&2
fi
exit "$code"
