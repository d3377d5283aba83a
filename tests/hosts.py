"""Hosts on this machine: network namespaces joined by a bridge, made and removed by root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PORT = 29511  # on an address that is the hosts' alone
SUBNET = "10.99.0"
ROOT = Path(__file__).parent.parent


def missing() -> str:
    """Why there can be no hosts here; nothing where there can."""
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
    """One of the hosts."""

    number: int

    @property
    def name(self) -> str:
        """Of its namespace."""
        return f"mnist-{self.number}"

    def cut(self) -> None:
        """Take its link down."""
        _ip("-n", self.name, "link", "set", "eth0", "down")

    def torchrun(self, hosts: int, words: Sequence[str], *, cwd: Path) -> subprocess.Popen[str]:
        """Start its part of a command that one worker on each host runs; it prints to `stdout`."""
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
    """So many hosts on one bridge; whatever runs there is ended with them."""
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
    found = subprocess.run(
        ["ip", "netns", "pids", host.name], capture_output=True, text=True, check=True
    )
    for process in found.stdout.split():
        subprocess.run(["kill", "-9", process], check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
