"""Makes one configuration of all TOML blocks of the README: a table that stands in several of them is joined."""

import re
import sys


def blocks(text: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def main() -> int:
    with open("README.md", encoding="utf-8") as file:
        lines = [line for block in blocks(file.read()) for line in block.splitlines()]
    tables: dict[str, list[str]] = {"": []}
    name = ""
    for line in lines:
        header = re.match(r"(\[+[^]]+\]+)", line)
        if header:
            # Each [[table]] is one of its own.
            name = header[1] if not header[1].startswith("[[") else f"{header[1]} {len(tables)}"
            tables.setdefault(name, [line])
        else:
            tables[name].append(line)
    print("\n".join(line for table in tables.values() for line in table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
