"""Holds the dependency tree against .deny.toml without cargo-deny: banned crates, licences, sources. Advisories need
a database from the internet and are checked by the scheduled workflow."""

import re
import subprocess
import sys
import tomllib

with open(".deny.toml", "rb") as file:
    deny = tomllib.load(file)
BANNED = {ban["crate"] for ban in deny["bans"]["deny"]}
ALLOWED = set(deny["licenses"]["allow"])


def allowed(expression: str) -> bool:
    """Does an SPDX expression (with the older "/" for OR) leave a choice of allowed licences?"""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        result = both()
        while words[:1] == ["OR"]:
            words.pop(0)
            result = both() or result
        return result

    def both() -> bool:
        result = one()
        while words[:1] == ["AND"]:
            words.pop(0)
            result = one() and result
        return result

    def one() -> bool:
        word = words.pop(0)
        if word == "(":
            result = either()
            words.pop(0)
            return result
        if words[:1] == ["WITH"]:
            word = f"{word} WITH {words[1]}"
            del words[:2]
        return word in ALLOWED

    return either()


def main() -> int:
    # The tree and not the metadata: the latter also names what no feature of ours turns on.
    command = ["cargo", "tree", "--locked", "--workspace", "--all-features", "--edges", "normal,build,dev"]
    command += ["--prefix", "none", "--no-dedupe", "--format", "{p}\t{l}"]
    tree = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    crates = {tuple(line.split("\t")) for line in tree.splitlines() if line}
    problems = []
    for crate, licence in sorted(crates):
        name, version, *remarks = crate.split(" ", 2)
        ours = any(remark.startswith("(/") for remark in remarks)
        if name in BANNED:
            problems.append(f"{name} {version} is banned")
        if not ours and remarks not in ([], ["(proc-macro)"]):
            problems.append(f"{name} {version} is not from the registry: {remarks}")
        if not ours and not allowed(licence):
            problems.append(f"{name} {version} has the licence {licence}")
    print("\n".join(problems) or f"{len(crates)} crates: none banned, all licences allowed, all from the registry")
    return 1 if problems else 0


if __name__ == "__main__":
    # A licence check that says yes to everything would never be noticed.
    assert allowed("MIT OR GPL-3.0") and allowed("MIT/Apache-2.0") and allowed("(MIT OR GPL-2.0) AND ISC")
    assert not allowed("GPL-3.0") and not allowed("MIT AND GPL-3.0") and not allowed("GPL-2.0 AND (MIT OR ISC)")
    sys.exit(main())
