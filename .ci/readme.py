"""Makes configurations of the TOML blocks of the README, in the folder that is named: README.toml of all of them but those
about what is deprecated, README-deprecated.toml of the first one and those. A table that stands in several is joined."""

import pathlib
import re
import sys

DEPRECATED = "magic_link"


def joined(blocks: list[str]) -> str:
    tables: dict[str, list[str]] = {"": []}
    name = ""
    for line in (line for block in blocks for line in block.splitlines()):
        header = re.match(r"(\[+[^]]+\]+)", line)
        if header:
            # Each [[table]] is one of its own.
            name = header[1] if not header[1].startswith("[[") else f"{header[1]} {len(tables)}"
            tables.setdefault(name, [line])
        else:
            tables[name].append(line)
    return "\n".join(line for table in tables.values() for line in table) + "\n"


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    text = pathlib.Path("README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    deprecated = [block for block in blocks if DEPRECATED in block]
    (folder / "README.toml").write_text(joined([block for block in blocks if block not in deprecated]))
    (folder / "README-deprecated.toml").write_text(joined(blocks[:1] + deprecated))
    return 0


if __name__ == "__main__":
    sys.exit(main())
