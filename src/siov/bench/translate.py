"""How fast the remapping unit translates, on one core."""

from siov._core import bench_translate

COUNT = 2_000_000


def measure(repeats: int) -> dict[str, list[float]]:
    """A second of the thread's processor time: IOTLB hits, cold nested 4x4 walks and legacy 4-level walks.

    A cold walk has the context and PASID entries cached, and no translation or paging structure: it reads
    nothing but the 24 entries of the two stages.
    """
    keys = ("hits_per_s", "nested_walks_per_s", "nested_reads_per_walk", "legacy_walks_per_s")
    found: dict[str, list[float]] = {key: [] for key in keys}
    for _ in range(repeats):
        for key, value in zip(keys, bench_translate(COUNT), strict=True):
            found[key].append(value)
    return found
