"""Two "hosts" on this machine: network and host-name namespaces, joined by a bridge.

What goes from one to the other goes through TCP, as between machines.  They share the cores, the
file system and the processes of this machine.

Rules of this file: standard library only; what it makes has one prefix, and is removed by name.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

from tests.machine import Standing, apt_get, as_root

HOSTS = ("mpicomp-h1", "mpicomp-h2")
SWITCH = "mpicomp-sw"
NETWORK = "10.77.0"  # inside the namespaces only
OF_NAMES = Path("/etc/netns")  # what ip shows as /etc inside

SSH = """\
#!/bin/bash
# stands for ssh: options, then a host, then what to run there
while [ $# -gt 0 ]; do case "$1" in -o|-p|-l|-i|-F) shift 2;; -*) shift;; *) break;; esac; done
host=${1#*@}; shift
exec ip netns exec "$host" unshare --uts bash -c 'hostname "$0"; exec bash -c "$*"' "$host" "$@"
"""


class Hosts(Standing):
    """The hosts, as long as the ``with`` block lasts.

    Attributes
    ----------
    ssh : Path
        ``ssh HOST COMMAND ...`` for them.
    """

    folder: Path | None = None

    def check(self) -> None:
        """Raise `LookupError` where hosts cannot be made."""
        as_root("hosts of their own network")
        if shutil.which("ip") is None:
            apt_get(["iproute2"])

    def start(self) -> None:
        """Make them."""
        self.folder = Path(mkdtemp(prefix="mpicomp-hosts-"))
        self.ssh = self.folder / "ssh"
        self.ssh.write_text(SSH)
        self.ssh.chmod(0o755)
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "br0", "up")
        names = "".join(f"{NETWORK}.{k} {host}\n" for k, host in enumerate(HOSTS, 1))
        for k, host in enumerate(HOSTS, 1):
            (OF_NAMES / host).mkdir(parents=True, exist_ok=True)
            (OF_NAMES / host / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
            ip("netns", "add", host)
            ends = ("eth0", "netns", host, "type", "veth", "peer", "name", f"p{k}", "netns", SWITCH)
            ip("link", "add", *ends)
            ip("-n", SWITCH, "link", "set", f"p{k}", "master", "br0", "up")
            ip("-n", host, "addr", "add", f"{NETWORK}.{k}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", host, "link", "set", device, "up")

    def stop(self) -> None:
        """Remove them; also those of a run that was cut short."""
        for name in (*HOSTS, SWITCH):
            if Path("/run/netns", name).exists():
                ip("netns", "del", name)
            shutil.rmtree(OF_NAMES / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            OF_NAMES.rmdir()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, mpi: str, mpiexec: str, each: int, program: list[str]) -> list[str]:
        """What runs *program* on *each* ranks of every host."""
        n = str(each * len(HOSTS))
        if mpi == "mpich":
            # without UCX_TLS it would find a quicker way between the hosts
            network = ["-genv", "UCX_TLS", "tcp,self"]
            ssh = ["-launcher", "ssh", "-launcher-exec", str(self.ssh)]
            words = [*ssh, "-hosts", ",".join(HOSTS), "-ppn", str(each), "-n", n, *network]
        else:
            slots = ",".join(f"{host}:{each}" for host in HOSTS)
            ssh = ["--prtemca", "plm_ssh_agent", str(self.ssh)]
            few = ["--mca", "btl", "^ofi", "--mca", "mpi_yield_when_idle", "1"]
            words = ["--host", slots, "-n", n, *ssh, *few, "--bind-to", "none"]
        # from the first of the hosts, as a user would
        return [str(self.ssh), HOSTS[0], shlex.join([mpiexec, *words, *program])]


def ip(*words: str) -> None:
    """Run ``ip``."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
