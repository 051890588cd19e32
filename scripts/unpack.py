#!/usr/bin/env python3
"""Extracts from an archive the files that a list of sha256 sums names.

    unpack.py ARCHIVE LIST FOLDER INSIDE...

The script looks for each file in the folders INSIDE the archive, in this order, and writes it to FOLDER. A name in the list may
have subfolders (`s1/1.pgm`). The top folder of a source archive is skipped.
"""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath


def members(archive):
    """Yields (path in the archive, function that reads it)."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                yield PurePosixPath(name), lambda name=name: packed.read(name)
    else:
        with tarfile.open(archive) as packed:
            for entry in packed:
                if entry.isfile():
                    name = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
                    yield name, lambda entry=entry: packed.extractfile(entry).read()


def main(archive, sums, folder, *inside):
    lines = Path(sums).read_text(encoding="utf-8").splitlines()
    missing = {line.split("  ", 1)[1] for line in lines if line and not line.startswith("#")}
    places = [PurePosixPath(place) for place in inside]
    for path, read in members(Path(archive)):
        names = {str(path.relative_to(place)) for place in places if path.is_relative_to(place)} & missing
        for name in names:
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read())
        missing -= names
    if missing:
        sys.exit(f"{archive} does not hold {', '.join(sorted(missing))}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
