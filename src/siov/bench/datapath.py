"""How many frames a second go from VSI to VSI, with one engine worker and one load worker."""

from siov._core import bench_datapath

FRAMES, LARGE_FRAMES = 400_000, 150_000
VSIS = (2, 16, 64, 256)
WAYS = {"": "atc", "_no_atc": "unit"}


def measure(repeats: int) -> dict[str, list[float]]:
    """Every variant once in each repeat, so that all of them meet the same neighbours on the machine.

    `mpps_` and `gbps_` go by the clock on the wall, with the engine's worker and the guests' drivers on a
    thread each. `worker_mpps_` is the same run by the worker's own processor time, its waiting for frames
    included: what it would do alone on a core. `engine_ns` is the engine's processor time for a frame when
    the same load is pumped on one thread; `translate_share` is the share of it that a bus without a
    remapping unit saves. Second stages have pages of 2 MiB, as the host maps guests; of 4 KiB for keys
    that end in `_4k`.
    """
    found: dict[str, list[float]] = {}

    def keep(key: str, value: float) -> None:
        found.setdefault(key, []).append(value)

    for _ in range(repeats):
        for vsis in VSIS:
            for suffix, way in WAYS.items():
                rate, engine_ns, _ = bench_datapath(vsis, 64, way, FRAMES)
                keep(f"mpps_64_at_{vsis}{suffix}", rate / 1e6)
                keep(f"worker_mpps_64_at_{vsis}{suffix}", 1e3 / engine_ns)
        for vsis in (2, 256):
            for suffix, way in WAYS.items():
                rate, _, _ = bench_datapath(vsis, 1518, way, LARGE_FRAMES)
                keep(f"gbps_1518_at_{vsis}{suffix}", rate * 1518 * 8 / 1e9)
        for vsis, at in ((2, ""), (256, "_at_256")):
            _, without, _ = bench_datapath(vsis, 64, "none", FRAMES, thread=False)
            for suffix, way in WAYS.items():
                _, engine_ns, _ = bench_datapath(vsis, 64, way, FRAMES, thread=False)
                keep(f"engine_ns_64_at_{vsis}{suffix}", engine_ns)
                keep(f"translate_share{at}{suffix}", 1 - without / engine_ns)
            _, engine_ns, _ = bench_datapath(vsis, 64, "atc", FRAMES, superpages=False, thread=False)
            keep(f"engine_ns_64_at_{vsis}_4k", engine_ns)
            keep(f"translate_share{at}_4k", 1 - without / engine_ns)
    return found
