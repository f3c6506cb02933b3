#!/usr/bin/env bash
# Evaluate a checkpoint with several processes on a Slurm cluster.
set -euo pipefail

usage() {
    # mmactclr calls it by another name
    sed "s#bash tools/slurm_test[.]sh#${MMACTCLR_COMMAND:-&}#" <<'TEXT'
usage: bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CKPT [arguments of tools/test.py]
       sbatch [arguments of sbatch] tools/slurm_test.sh PARTITION JOB_NAME CONFIG CKPT [arguments of tools/test.py]

Evaluates a checkpoint with GPUS processes under srun, one on each GPU; where a node has no GPU, as many processes on
its CPUs. The numbers are those of tools/test.py.

environment: GPUS           processes, default 8
             GPUS_PER_NODE  processes and GPUS of a node, default the smaller of GPUS and 8
             CPUS_PER_TASK  CPUs of each process, default 5
             GRES           what srun asks for, default gpu:GPUS_PER_NODE; empty for nodes without GPUs
             SRUN_ARGS      further arguments of srun
             PYTHON         interpreter, default python

example: GPUS=8 bash tools/slurm_test.sh gpu first configs/actclr/actclr_3s_ntu60_xsub.py work_dirs/first/epoch_400.pth
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
[ $# -ge 4 ] || fail "expected PARTITION, JOB_NAME, CONFIG and CKPT, found $# argument(s)"
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
processes=${GPUS:-8}
[[ $processes =~ ^[1-9][0-9]*$ ]] || fail "GPUS is '$processes', expected the number of processes"
per_node=${GPUS_PER_NODE:-$((processes < 8 ? processes : 8))}
[[ $per_node =~ ^[1-9][0-9]*$ ]] || fail "GPUS_PER_NODE is '$per_node', expected the number of processes of a node"
cpus=${CPUS_PER_TASK:-5}
[[ $cpus =~ ^[1-9][0-9]*$ ]] || fail "CPUS_PER_TASK is '$cpus', expected a number of CPUs"
gres=${GRES-gpu:$per_node}

# sbatch runs a copy of this file that lies elsewhere
tools="$(dirname "${BASH_SOURCE[0]}")"
[ -f "$tools/test.py" ] || tools="${SLURM_SUBMIT_DIR:-.}/tools"
[ -f "$tools/test.py" ] || fail "found no tools/test.py in ${SLURM_SUBMIT_DIR:-.}; call sbatch in the checkout"
command -v srun >/dev/null || fail 'found no srun; without Slurm use bash tools/dist_test.sh CONFIG CKPT GPUS'

request=(--ntasks "$processes" --ntasks-per-node "$per_node" --cpus-per-task "$cpus" --kill-on-bad-exit=1)
[ -z "$gres" ] || request+=(--gres "$gres")
# inside a job it is too late for these
[ -n "${SLURM_JOB_ID:-}" ] || request+=(--partition "$partition" --job-name "$job")

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
# jobs that share a node need ports of their own
export MASTER_PORT="${MASTER_PORT:-$((20000 + ${SLURM_JOB_ID:-$$} % 20000))}"
# shellcheck disable=SC2086
exec srun "${request[@]}" ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$tools/test.py" "$config" "$checkpoint" \
    --launcher slurm "$@"
