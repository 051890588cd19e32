#!/usr/bin/env python3
"""Downloads the jars of a list of Maven coordinates, as a Maven client does, without Maven or Java.

    jars.py LIST REPOSITORY FOLDER

LIST has a line GROUP:ARTIFACT:VERSION for each jar. REPOSITORY is a folder that keeps downloaded jars. FOLDER gets a copy
of each. The source is Maven Central, or the mirror of it that ~/.m2/settings.xml or EVERYFRAME_MAVEN names.
"""

import os
import shutil
import sys
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import MavenContext

# Parallel downloads: jars are small, so most of the time is waiting for answers.
AT_ONCE = 8


def mirror(settings, environment):
    """Returns the address of a mirror of Maven Central, or None."""
    if address := environment.get("EVERYFRAME_MAVEN"):
        return address.rstrip("/")
    if not settings.is_file():
        return None
    for entry in xml.parse(settings).iter():
        # With or without the namespace of the schema.
        if entry.tag.rpartition("}")[2] == "mirror":
            fields = {field.tag.rpartition("}")[2]: (field.text or "").strip() for field in entry}
            names = [name.strip() for name in fields.get("mirrorOf", "").split(",")]
            if {"*", "central", "external:*"} & set(names) and "!central" not in names:
                return fields["url"].rstrip("/")
    return None


def main(coordinates, repository, folder):
    address = mirror(Path.home() / ".m2/settings.xml", os.environ)
    context = MavenContext(repo_cache=Path(repository), remote_repos={"central": address} if address else None)
    lines = [line.strip() for line in Path(coordinates).read_text().splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]

    def fetch(name):
        shutil.copy(context.create_dependency(name).artifact.resolve(), folder)
        print(name, flush=True)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fetch, names))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
