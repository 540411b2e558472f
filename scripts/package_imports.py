"""Count the ordered pairs of packages of the science with an import between them.

Usage: python scripts/package_imports.py [--list]
"""

import sys

import grimp

ROOT = "hrob_assets.risk"


def package_pairs(root: str = ROOT) -> list[tuple[str, str]]:
    """Ordered pairs (importer, imported) of the direct children of a package.

    Parameters
    ----------
    root : str
        Dotted name of the package whose children are compared.

    Returns
    -------
    list of (str, str)
        Without the root, in alphabetical order. A child that only reaches another one through a
        third is no pair with it.
    """
    graph = grimp.build_graph(root.split(".", maxsplit=1)[0])
    children = sorted(graph.find_children(root))
    for child in children:
        graph.squash_module(child)
    return sorted(
        (importer.removeprefix(f"{root}."), imported.removeprefix(f"{root}."))
        for importer in children
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported in children and imported != importer
    )


if __name__ == "__main__":
    pairs = package_pairs()
    if "--list" in sys.argv[1:]:
        for importer, imported in pairs:
            print(f"{importer} -> {imported}")
    print(f"{len(pairs)} ordered pairs of packages of {ROOT} with an import")
