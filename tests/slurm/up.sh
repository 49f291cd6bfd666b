#!/usr/bin/env bash
# Brings up a SLURM cluster of virtual nodes on this one machine, for tests/slurm; `down.sh` ends it.
#
# It is a real one (Debian's own packages), with pretend GPUs and without accounting, so that `sacct` fails: the harder
# case for whoever has to learn what became of a job. It listens on the loopback address alone, needs neither systemd
# nor cgroups, and keeps all that is its own, its configuration included, in one folder: whatever SLURM the machine
# belongs to otherwise is not touched. docs/slurm.md tells how it is used.
set -euo pipefail

BASE=${NEUROPT_SLURM:-/var/tmp/neuropt-slurm}
NODES=4
CTLD_PORT=26817
SLURMD_PORT=26820 # The first node listens on the next one.
HOST=$(hostname -s)
export SLURM_CONF=$BASE/slurm.conf

say() { echo "tests/slurm/up.sh: $*" >&2; }
give_up() {
  say "$*"
  exit 1
}
wait_for() { # wait_for SECONDS COMMAND...: until it succeeds.
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || give_up "gave up waiting for: $*; see $BASE/log"
    sleep 0.2
  done
}
runs() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; } # runs PIDFILE

# Debian builds slurmd with --enable-multiple-slurmd, on which the virtual nodes rest.
command -v apt-get >/dev/null || give_up "only Debian and its kin are known to work: this needs apt-get"
[ "$(id -u)" = 0 ] || give_up "needs root, to install SLURM's packages and to run its daemons"

missing=()
for package in slurmctld slurmd slurm-client munge; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  # With this policy the packages start no service of their own.
  policy=/usr/sbin/policy-rc.d made=
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && made=1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  [ -z "$made" ] || rm -f $policy
fi

mkdir -p "$BASE"/{state,log,pid}
# The daemons bind to the address of the host's own name.
case "$(getent ahostsv4 "$HOST" | awk 'NR == 1 { print $1 }')" in
127.*) ;;
*)
  say "naming $HOST 127.0.0.1 in /etc/hosts"
  echo "127.0.0.1 $HOST" | cat - /etc/hosts >"$BASE/hosts" && cat "$BASE/hosts" >/etc/hosts
  ;;
esac

if ! munge -n 2>/dev/null | unmunge >/dev/null 2>&1; then
  [ -s /etc/munge/munge.key ] || { mungekey --create --keyfile /etc/munge/munge.key && chown munge: /etc/munge/munge.key; }
  install -d -o munge -g munge -m 0755 /run/munge /var/log/munge /var/lib/munge
  runuser -u munge -- /usr/sbin/munged --force
  wait_for 60 sh -c 'munge -n | unmunge'
  cp /run/munge/munged.pid "$BASE/pid/munged.pid" # down.sh ends it only if it was started here.
fi

cat >"$SLURM_CONF" <<CONF
ClusterName=neuropt
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$CTLD_PORT
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
# linuxproc ends also what left a job's process group, and needs no cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# The virtual nodes claim more than the machine has.
SlurmdParameters=config_overrides
# A node that was taken down stays so until it is taken up again.
ReturnToService=1
StateSaveLocation=$BASE/state
SlurmctldPidFile=$BASE/pid/slurmctld.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdPidFile=$BASE/pid/slurmd.%n.pid
SlurmdLogFile=$BASE/log/slurmd.%n.log
SlurmdSpoolDir=$BASE/spool.%n
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=60
InactiveLimit=0
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,batch_sched_delay=0,bf_interval=2
JobRequeue=1
# A job of partition high puts one of low back into the queue.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
NodeName=node[1-$NODES] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((SLURMD_PORT + 1))-$((SLURMD_PORT + NODES))] CPUs=1 RealMemory=4000 Gres=gpu:1 State=UNKNOWN
PartitionName=dev Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=20 PreemptMode=OFF
CONF
# A pretend GPU is any device file; jobs get CUDA_VISIBLE_DEVICES=0, as on a node with one GPU.
[ -e "$BASE/gpu0" ] || mknod "$BASE/gpu0" c 1 3
echo "NodeName=node[1-$NODES] Name=gpu File=$BASE/gpu0" >"$BASE/gres.conf"

runs "$BASE/pid/slurmctld.pid" || /usr/sbin/slurmctld -f "$SLURM_CONF"
wait_for 60 sh -c 'scontrol ping | grep -q UP'
for i in $(seq $NODES); do
  mkdir -p "$BASE/spool.node$i"
  runs "$BASE/pid/slurmd.node$i.pid" || /usr/sbin/slurmd -f "$SLURM_CONF" -N "node$i"
done
ready() { [ "$(sinfo -h -N -p dev -t idle,mix,alloc -o %N | sort -u | wc -l)" = $NODES ]; }
for _ in $(seq 50); do ready && break || sleep 0.2; done
ready || scontrol update nodename="node[1-$NODES]" state=resume || true # Left down by an unclean end.
wait_for 60 ready
sinfo
