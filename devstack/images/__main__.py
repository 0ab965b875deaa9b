"""``python -m devstack.images build STATE``: build the Ubuntu image on a base made here; `make image-check` runs it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from devstack.images.building import ROOT, Builder, ImageError, missing

#: A documentation network (RFC 5737, RFC 5398) in small databases that stand in for the published ones.
EXAMPLE_NETWORK: Final = "203.0.113.0/24"
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "City": {"city": {"names": {"en": "Example"}}, "location": {"latitude": 48.85, "longitude": 2.35}},
    "ASN": {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"},
}


def main(arguments: list[str]) -> int:
    """Exit status 0 when the image was built, 1 with the reason."""
    if len(arguments) != 2 or arguments[0] != "build":
        print(__doc__)
        return 2
    reason = missing()
    if reason:
        print(f"the image cannot be built here: {reason}")
        return 1
    state = Path(arguments[1]).resolve()
    builder = Builder(state, lambda line: print(line, flush=True))
    try:
        builder.build(_arguments(state / "mirror"), state / "mirror")
        builder.close()
    except ImageError as error:
        print(error)
        return 1
    print(f"built in {state}")
    return 0


def _arguments(mirror: Path) -> dict[str, str]:
    """Build arguments: this commit, and small databases that stand in for those of the network, with checksums."""
    mirror.mkdir(parents=True, exist_ok=True)
    for kind in ("City", "ASN"):
        database = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=f"GeoLite2-{kind}")
        database.insert_network(IPSet([EXAMPLE_NETWORK]), EXAMPLES[kind])
        database.to_db_file(str(mirror / f"GeoLite2-{kind}.mmdb"))
    (mirror / "ipasn_db.dat").write_text(f"; prefix and AS number\n{EXAMPLE_NETWORK}\t64500\n")
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in mirror.iterdir()}
    return {
        "GEOLITE_URL": "file:///mirror",
        "GEOLITE_CITY_SHA256": sums["GeoLite2-City.mmdb"],
        "GEOLITE_ASN_SHA256": sums["GeoLite2-ASN.mmdb"],
        "IPASN_URL": "file:///mirror/ipasn_db.dat",
        "IPASN_SHA256": sums["ipasn_db.dat"],
        "VCS_REF": _git("rev-parse", "HEAD"),
        "VCS_DATE": _git("log", "-1", "--format=%cI"),
        "VCS_COUNT": _git("rev-list", "--count", "HEAD"),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or "undefined"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
