#!/usr/bin/env bash
# One experiment on a machine that has nothing of the project yet: clone, run with what a remote holds, push what came of it.
#
#   scripts/experiment.sh REPOSITORY GRID [LINE]
#
# Each line of the file GRID is an experiment: its name, then arguments of `dvc exp run`. LINE counts from 1; in an array
# job of SLURM it is the task's number:
#
#   sbatch --array=1-10 --cpus-per-task=8 --gres=gpu:1 scripts/experiment.sh git@host:you/whence.git "$PWD/grid.txt"
#
# The repository names a default remote of DVC (`dvc remote add --default`) that the machine may read and write.
set -euo pipefail
die() {
  echo "error: $1" >&2
  exit 1
}
[ $# -ge 2 ] || die "expected a repository and a file of experiments: scripts/experiment.sh REPOSITORY GRID [LINE]"
repository=$1 line=${3:-${SLURM_ARRAY_TASK_ID:-}}
[ -n "$line" ] || die "which line of $2? Say it last, or start an array job"
[ -f "$2" ] || die "$2: there is no such file"
experiment=$(sed -n "${line}p" "$2")
[ -n "$experiment" ] || die "$2: has no line $line"
name=${experiment%% *}
eval "arguments=(${experiment#"$name"})" # quoted as in a shell

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet "$repository" "$folder"
cd "$folder"
if ! command -v dvc >/dev/null; then # of an environment that all tasks share, or a new one
  make --silent .venv/.ready
  export PATH="$folder/.venv/bin:$PATH"
fi
dvc exp run --pull --name "$name" "${arguments[@]}"
dvc exp push origin "$name"
