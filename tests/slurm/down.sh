#!/usr/bin/env bash
# Ends the cluster that up.sh started, by the process ids that it noted, and removes its folder.
set -uo pipefail

BASE=${NEUROPT_SLURM:-/var/tmp/neuropt-slurm}
export SLURM_CONF=$BASE/slurm.conf
[ -d "$BASE" ] || exit 0

# The name guards against a number that belongs to another process by now.
is() { [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
stop() { # stop NAME PIDFILE...: asks all of them, then ends those that did not listen.
  local name=$1 file pid pids=()
  shift
  for file in "$@"; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    is "$pid" "$name" && kill "$pid" && pids+=("$pid")
  done
  for pid in ${pids[@]+"${pids[@]}"}; do
    for _ in $(seq 50); do is "$pid" "$name" && sleep 0.1 || break; done
    is "$pid" "$name" && kill -9 "$pid"
  done
}

if timeout 10 scontrol ping 2>/dev/null | grep -q UP; then
  timeout 10 scancel --quiet --user="$(id -un)"
  for _ in $(seq 50); do [ -n "$(timeout 10 squeue -h)" ] && sleep 0.2 || break; done
fi
stop slurmd "$BASE"/pid/slurmd.*.pid
stop slurmctld "$BASE/pid/slurmctld.pid"
stop munged "$BASE/pid/munged.pid"
rm -rf "$BASE"
