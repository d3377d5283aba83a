"""Hosts on this machine: network namespaces joined by a bridge. Making them needs root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PORT = 29511  # any number: no other program uses the hosts' address
SUBNET = "10.99.0"
ROOT = Path(__file__).parent.parent


def missing() -> str:
    """Return why this machine can have no such hosts; an empty string if it can."""
    if not shutil.which("ip"):
        return "needs the ip command"
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    tried = subprocess.run(["ip", "netns", "add", "mnist-tried"], capture_output=True, check=False)
    if tried.returncode:
        return f"needs network namespaces: {tried.stderr.decode().strip()}"
    _ip("netns", "del", "mnist-tried")
    return ""


@dataclass(frozen=True)
class Host:
    """A network namespace with a number, from 1."""

    number: int

    @property
    def name(self) -> str:
        """Name of the network namespace."""
        return f"mnist-{self.number}"

    def cut(self) -> None:
        """Take the host's link down."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def torchrun(self, hosts: int, words: Sequence[str], *, cwd: Path) -> subprocess.Popen[str]:
        """Start this host's worker of a command; its output goes to the process's `stdout`."""
        return subprocess.Popen(
            [
                *("ip", "netns", "exec", self.name),
                *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={hosts}"),
                *(f"--node-rank={self.number - 1}", "--nproc-per-node=1"),
                *(f"--master-addr={SUBNET}.1", f"--master-port={PORT}"),
                *(f"--local-addr={SUBNET}.{self.number}", "-m", *words),
            ],
            cwd=cwd,
            env=os.environ | {"GLOO_SOCKET_IFNAME": "eth0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def joined(count: int) -> Iterator[list[Host]]:
    """Yield `count` hosts on one bridge; at the end, kill the processes that run there."""
    with ExitStack() as stack:
        _ip("link", "add", "mnist-bridge", "type", "bridge")
        stack.callback(_ip, "link", "del", "mnist-bridge")
        _ip("link", "set", "mnist-bridge", "up")
        hosts = [Host(number) for number in range(1, count + 1)]
        for host in hosts:
            _ip("netns", "add", host.name)
            stack.callback(_ip, "netns", "del", host.name)
            stack.callback(_end_all, host)
            outer = f"mnist-veth{host.number}"
            _ip("link", "add", outer, "type", "veth", "peer", "eth0", "netns", host.name)
            stack.callback(_ip, "link", "del", outer)
            _ip("link", "set", outer, "master", "mnist-bridge", "up")
            _ip("-n", host.name, "address", "add", f"{SUBNET}.{host.number}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", host.name, "link", "set", device, "up")
        yield hosts


def _end_all(host: Host) -> None:
    listed = subprocess.run(
        ["ip", "netns", "pids", host.name], capture_output=True, text=True, check=True
    )
    for process in listed.stdout.split():
        subprocess.run(["kill", "-9", process], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
