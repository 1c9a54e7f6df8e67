"""A real Slurm on this machine: two virtual nodes, a controller, and no systemd.

Rules of this file: standard library only; everything it writes is in one folder; it ends nothing
but what its own pid files name, and first of all what an earlier run, cut short, has left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir

from tests.launch import ROOT
from tests.machine import Standing, apt_get, as_root, until

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "libpmix2")
NODES, CPUS = 2, 8
BOOT = 60.0  # seconds for the nodes to be there
DAEMONS = ("slurmd", "slurmctld", "munged")

CONFIGURATION = """\
ClusterName=mpicomp
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=5,batch_sched_delay=0,sched_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
# PMIx makes folders in it, of the same name on all nodes
TmpFS={folder}/tmp-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
KillWait=5
MinJobAge=600
# MPICH under srun names its shared memory after the job: no two clusters may number alike
FirstJobId={first}
JobRequeue=1
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=5 State=UP
"""
NODE = (
    "NodeName=n{k} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=8000"
)


class Cluster(Standing):
    """Two nodes with eight cores each, as they say, as long as the ``with`` block lasts.

    Attributes
    ----------
    folder : Path
    env : dict of str
        What a program needs in its environment to speak to this Slurm.
    """

    def __init__(self) -> None:
        mark = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
        self.folder = Path(gettempdir(), f"mpicomp-slurm-{os.getuid()}-{mark}")
        self.env = {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def check(self) -> None:
        """See to it that Debian's packages are there."""
        install()

    def start(self) -> None:
        """Write the configuration, start the daemons, wait for the nodes."""
        munge = self.folder / "munge"
        of_nodes = [f"{what}-n{k + 1}" for what in ("spool", "tmp") for k in range(NODES)]
        for name in ("munge", "state", *of_nodes):
            (self.folder / name).mkdir(parents=True)
        for folder in (self.folder, munge):
            folder.chmod(0o755)
        secret = munge / "secret"
        secret.mkdir(mode=0o700)
        (secret / "key").touch(mode=0o600)
        (secret / "key").write_bytes(os.urandom(128))
        options = {"key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{option}={secret}/{name}" for option, name in options.items()]
        self.daemon("munged", f"--socket={munge}/socket", *files)
        host = socket.gethostname().partition(".")[0]
        port, *ports = free_ports(1 + NODES)
        lines = [
            NODE.format(k=k + 1, host=host, port=each, cpus=CPUS) for k, each in enumerate(ports)
        ]
        first = random.randrange(1, 10**6)
        about = CONFIGURATION.format(host=host, port=port, folder=self.folder, first=first)
        Path(self.env["SLURM_CONF"]).write_text("\n".join([*lines, about]))
        self.daemon("slurmctld", "-c")
        for k in range(NODES):
            self.node(f"n{k + 1}")
        until(
            lambda: self.run("sinfo", "-h", "-N", "-o", "%t").split() == ["idle"] * NODES,
            BOOT, f"the nodes are idle (logs: {self.folder}/*.log)",
        )  # fmt: skip

    def node(self, name: str) -> None:
        """Start a node, with a host name of its own.

        PMIx looks for what it knows of a node by that, and MPICH's launcher calls back by it.
        """
        hosts = self.folder / "hosts"
        names = " ".join(f"n{k + 1}" for k in range(NODES))
        hosts.write_text(Path("/etc/hosts").read_text() + f"127.0.0.1 {names}\n")
        start = 'hostname "$0"; mount --bind "$1" /etc/hosts; exec slurmd -N "$0"'
        self.daemon("unshare", "--uts", "--mount", "bash", "-c", start, name, str(hosts))

    def daemon(self, name: str, *options: str) -> None:
        """Start what puts itself into the background."""
        with open(self.folder / "boot.log", "a") as log:
            subprocess.run(
                [name, *options], env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, check=True, timeout=BOOT,
            )  # fmt: skip

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(
            command, env={**(os.environ if env is None else env), **self.env}, cwd=cwd,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode:
            raise subprocess.SubprocessError(f"{' '.join(command)}: {done.stderr}{done.stdout}")
        return done.stdout

    def about(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job: ``JobState``, ``Restarts``, ``ExitCode``, ..."""
        words = self.run("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, job: str) -> bool:
        """Whether no part of the job waits, runs or is about to begin again."""
        busy = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SUSPENDED")
        states = re.findall(r"JobState=(\w+)", self.run("scontrol", "show", "job", job))
        return not any(state in busy for state in states)

    def stop(self) -> None:
        """End all jobs and the daemons that the folder's pid files name; remove the folder."""
        pids = [*self.folder.glob("*.pid"), *self.folder.glob("munge/secret/pid")]
        running = [pid for pid in map(read_pid, pids) if pid]
        if len(running) > NODES + 1:
            with contextlib.suppress(subprocess.SubprocessError):
                self.run("scancel", "--full", "--user", "root")
                until(lambda: not self.run("squeue", "-h"), 20, "no job is left")
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            until(lambda: not any(map(daemon_name, running)), 20, "the daemons have ended")
        for pid in filter(daemon_name, running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def install() -> None:
    """See to it that Debian's packages are there.

    Raises
    ------
    LookupError
        They are not, and cannot be installed here.
    """
    as_root("a Slurm of two nodes on this machine")
    missing = [name for name in PACKAGES if not installed(name)]
    if missing:
        apt_get(missing)
    files = subprocess.run(["dpkg", "-L", "libpmix2"], capture_output=True, text=True).stdout
    for library in re.findall(r"^(.*/libpmix\.so)\.2$", files, re.MULTILINE):
        # srun --mpi=pmix opens the name that only the -dev package has
        if not os.path.lexists(library):
            os.symlink("libpmix.so.2", library)


def installed(package: str) -> bool:
    """Whether dpkg has unpacked and configured it."""
    command = ["dpkg-query", "-W", "-f=${db:Status-Status}", package]
    try:
        said = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return shutil.which(package) is not None
    return said.stdout == "installed"


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens at now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def read_pid(path: Path) -> int:
    """The daemon that a pid file names; 0 when it is none of ours any more."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(path.read_text())
        return pid if daemon_name(pid) in DAEMONS else 0
    return 0


def daemon_name(pid: int) -> str:
    """Name of a process that runs; nothing of one that has ended."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return ""
    return "" if rest.split()[0] == "Z" else name
