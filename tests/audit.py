"""Asks the advisories at OSV whether a locked dependency has a known weakness: `make audit`, which `make check` calls.

Exit 0 where none has; 1 where one has, with its names. Where the service is not reached within some seconds nothing is
audited, one line says so, and that is no failure. OSV_URL names another address; a proxy is the environment's.
pip-audit lives in a folder of its own, put there with its hashes when it is needed first.
"""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, OF = "requirements-audit.lock", "requirements.lock"
OSV = "https://api.osv.dev/v1/query"
WITHIN = 5.0
"""Seconds in which the service must answer at all."""


def unreached(url: str) -> str:
    """Why the service cannot be asked; empty where it answers a question that is none."""
    asked = urllib.request.Request(url, b"{}", {"content-type": "application/json"})
    try:
        urllib.request.urlopen(asked, timeout=WITHIN).close()
    except urllib.error.HTTPError as error:
        return "" if error.code == 400 else f"it answers {error.code}"
    except OSError as error:
        return str(error)
    return ""


def main() -> int:
    """Ask for all that the lock names."""
    url = os.environ.get("OSV_URL") or OSV
    if why := unreached(url):
        print(f"audit: nothing was audited, {url} is not reached: {why}", file=sys.stderr)
        return 0
    tool = Path(sys.prefix) / "audit"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    lock = (ROOT / LOCK).read_text("utf-8")
    if not (tool / LOCK).is_file() or (tool / LOCK).read_text("utf-8") != lock:
        subprocess.run([*pip, "--upgrade", "--target", tool, "-r", ROOT / LOCK], check=True)
        (tool / LOCK).write_text(lock, "utf-8")
    asked = ["--vulnerability-service=osv", f"--osv-url={url}", "--progress-spinner=off", "--disable-pip"]
    return subprocess.run(
        [sys.executable, "-m", "pip_audit", *asked, "--require-hashes", "-r", ROOT / OF],
        env={**os.environ, "PYTHONPATH": str(tool)}, check=False,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
